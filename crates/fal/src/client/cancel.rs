//! Asking fal to cancel. A cancel is a wish until fal confirms it.

use http::Method;
use serde::Deserialize;

use super::{QueueClient, queue_urls};
use crate::endpoint_id::EndpointId;
use crate::loose;
use crate::request_id::is_usable_request_id;

const CANCEL_ANSWER_MAX: u64 = 64 * 1024;

/// What fal said to a cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// The request was removed from the queue and will not run.
    Canceled,
    /// fal passed the wish on; the run may end as canceled, or finish all the same.
    Requested,
    /// The run was over first.
    AlreadyCompleted,
    /// fal knows no such request, or no longer.
    NotFound,
    /// Nothing was learnt.
    Unavailable { message: String },
}

#[derive(Default, Deserialize)]
struct CancelAnswer {
    #[serde(default, deserialize_with = "loose::string")]
    status: Option<String>,
    #[serde(default)]
    success: Option<bool>,
}

impl QueueClient {
    /// Asks fal to cancel a request. The body's word goes before the status code.
    pub async fn cancel(&self, endpoint: &EndpointId, request_id: &str) -> CancelOutcome {
        if !is_usable_request_id(request_id) {
            return CancelOutcome::Unavailable { message: "the request id is not usable".to_owned() };
        }
        let url = queue_urls::request(&self.config.queue_url, endpoint, request_id, Some("cancel"));
        match self.call(Method::PUT, url, CANCEL_ANSWER_MAX).await {
            Err(message) => CancelOutcome::Unavailable { message },
            Ok(answer) => read(answer.status.as_u16(), &answer.body)
                .unwrap_or_else(|| CancelOutcome::Unavailable { message: self.message_of(&answer) }),
        }
    }
}

fn read(code: u16, body: &[u8]) -> Option<CancelOutcome> {
    let answer: CancelAnswer = serde_json::from_slice(body).unwrap_or_default();
    match (answer.status.as_deref(), answer.success, code) {
        (Some("OK"), _, 200..=299) => Some(CancelOutcome::Canceled),
        (Some("CANCELLATION_REQUESTED"), _, _) => Some(CancelOutcome::Requested),
        (Some("ALREADY_COMPLETED"), _, _) => Some(CancelOutcome::AlreadyCompleted),
        (Some("NOT_FOUND"), _, _) => Some(CancelOutcome::NotFound),
        // The older form does not say whether the request was still in the queue, so it proves no end.
        (_, Some(true), 200..=299) => Some(CancelOutcome::Requested),
        (_, Some(false), 200..=299 | 400) => Some(CancelOutcome::AlreadyCompleted),
        // A bare 2xx proves no end either.
        (_, _, 200..=299) => Some(CancelOutcome::Requested),
        (_, _, 404 | 410) => Some(CancelOutcome::NotFound),
        (_, _, 400) => Some(CancelOutcome::AlreadyCompleted),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bodys_word_goes_before_the_code() {
        for (code, body, expected) in [
            (200, r#"{"status":"OK"}"#, Some(CancelOutcome::Canceled)),
            (202, r#"{"status":"CANCELLATION_REQUESTED"}"#, Some(CancelOutcome::Requested)),
            (200, r#"{"status":"CANCELLATION_REQUESTED"}"#, Some(CancelOutcome::Requested)),
            (400, r#"{"status":"ALREADY_COMPLETED"}"#, Some(CancelOutcome::AlreadyCompleted)),
            (200, r#"{"status":"ALREADY_COMPLETED"}"#, Some(CancelOutcome::AlreadyCompleted)),
            (404, r#"{"status":"NOT_FOUND"}"#, Some(CancelOutcome::NotFound)),
            (200, r#"{"success":true}"#, Some(CancelOutcome::Requested)),
            (200, r#"{"success":false}"#, Some(CancelOutcome::AlreadyCompleted)),
            (200, "", Some(CancelOutcome::Requested)),
            (202, "odd", Some(CancelOutcome::Requested)),
            (404, "", Some(CancelOutcome::NotFound)),
            (400, "", Some(CancelOutcome::AlreadyCompleted)),
            (500, r#"{"status":"OK"}"#, None),
            (502, "<html>", None),
            (401, "", None),
            (307, "", None),
        ] {
            assert_eq!(read(code, body.as_bytes()), expected, "{code} {body}");
        }
    }
}
