//! Asking how a request stands.

use std::time::Duration;

use http::Method;
use serde::Deserialize;

use super::{Answer, QueueClient, headers, queue_urls, refuses_key};
use crate::endpoint_id::EndpointId;
use crate::loose;
use crate::request_id::is_usable_request_id;

const STATUS_ANSWER_MAX: u64 = 256 * 1024;

/// How a request stands at fal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusOutcome {
    InQueue {
        /// How many requests wait before it, when fal says.
        position: Option<u64>,
    },
    InProgress,
    Completed {
        /// What went wrong, with fal's name for it. Some failures are told by the result alone.
        error: Option<(String, Option<String>)>,
    },
    /// fal knows no such request, or no longer.
    NotFound,
    RateLimited {
        retry_after: Option<Duration>,
    },
    CredentialRefused {
        status: u16,
        message: String,
    },
    /// Nothing was learnt.
    Unavailable {
        message: String,
    },
}

#[derive(Deserialize)]
struct StatusAnswer {
    status: String,
    #[serde(default, deserialize_with = "loose::string")]
    queue_position: Option<String>,
    #[serde(default, deserialize_with = "loose::string")]
    error: Option<String>,
    #[serde(default, deserialize_with = "loose::string")]
    error_type: Option<String>,
}

impl QueueClient {
    /// Asks fal how a request stands. The body's word decides, whichever 2xx it came with.
    pub async fn status(&self, endpoint: &EndpointId, request_id: &str) -> StatusOutcome {
        if !is_usable_request_id(request_id) {
            return unavailable("the request id is not usable".to_owned());
        }
        let mut url = queue_urls::request(&self.config.queue_url, endpoint, request_id, Some("status"));
        url.query_pairs_mut().append_pair("logs", "0");
        let answer = match self.call(Method::GET, url, STATUS_ANSWER_MAX).await {
            Ok(answer) => answer,
            Err(message) => return unavailable(message),
        };
        match answer.status.as_u16() {
            200..=299 => self.read_status(&answer),
            404 | 410 => StatusOutcome::NotFound,
            429 => StatusOutcome::RateLimited { retry_after: headers::retry_after(&answer.headers) },
            status if refuses_key(answer.status) => {
                StatusOutcome::CredentialRefused { status, message: self.message_of(&answer) }
            }
            _ => unavailable(self.message_of(&answer)),
        }
    }

    fn read_status(&self, answer: &Answer) -> StatusOutcome {
        let Ok(read) = serde_json::from_slice::<StatusAnswer>(&answer.body) else {
            return unavailable("the status cannot be read".to_owned());
        };
        match read.status.as_str() {
            "IN_QUEUE" => {
                StatusOutcome::InQueue { position: read.queue_position.and_then(|position| position.parse().ok()) }
            }
            "IN_PROGRESS" => StatusOutcome::InProgress,
            "COMPLETED" => StatusOutcome::Completed { error: self.error_of(read) },
            "NOT_FOUND" => StatusOutcome::NotFound,
            other => unavailable(self.clean(&format!("the status is unknown to us: {other}"))),
        }
    }

    fn error_of(&self, read: StatusAnswer) -> Option<(String, Option<String>)> {
        let error_type = read.error_type.map(|name| self.clean(&name));
        let error = read.error.map(|error| self.clean(&error)).or_else(|| error_type.clone());
        error.map(|error| (error, error_type))
    }
}

fn unavailable(message: String) -> StatusOutcome {
    StatusOutcome::Unavailable { message }
}
