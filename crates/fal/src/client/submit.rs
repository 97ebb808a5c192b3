//! Submitting: the one call that cannot be repeated, so its outcome says exactly what is known.

use std::time::Duration;

use bytes::Bytes;
use domain::ErrorClass;
use failpoints::Point;
use http::Method;
use http::header::CONTENT_TYPE;
use reqwest::Response;
use serde::Deserialize;
use tokio::time::Instant;

use super::{Answer, ERROR_BODY_MAX, QueueClient, headers, queue_urls, refuses_key};
use crate::endpoint_id::EndpointId;
use crate::exchange::{self, ReadFailure, SendFailure};
use crate::loose;
use crate::request_id::is_usable_request_id;

/// The largest answer to a submit that is read, in bytes.
const SUBMIT_ANSWER_MAX: u64 = 64 * 1024;

/// What goes with a submit.
#[derive(Clone, Copy, Debug)]
pub struct SubmitOptions<'a> {
    /// Where fal shall call when the run is over; without it the caller must poll.
    pub webhook_url: Option<&'a str>,
    /// How long fal may take to start the run. It bounds how long a submit without an answer can still come alive.
    pub start_timeout: Duration,
    /// An end that comes before the client's own submit timeout, such as that of a lease. When it has passed already,
    /// nothing is sent.
    pub deadline: Option<Instant>,
}

/// What is known after a submit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// fal took the request.
    Accepted { request_id: String, gateway_request_id: Option<String> },
    /// Provably no byte of the request left: it may be sent again.
    NotSent { message: String },
    /// fal said no, and runs nothing.
    Refused { status: u16, class: ErrorClass, message: String },
    /// fal asked to wait (429), and runs nothing.
    RateLimited { retry_after: Option<Duration>, message: String },
    /// fal refused the key (401, 402, 403), and runs nothing.
    CredentialRefused { status: u16, message: String },
    /// The request may be running at fal. It must not be sent again on this ground.
    Unknown { message: String },
}

impl SubmitOutcome {
    /// Whether fal may be running the request, or is.
    pub fn may_be_running(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::Unknown { .. })
    }
}

#[derive(Deserialize)]
struct SubmitAnswer {
    #[serde(default, deserialize_with = "loose::string")]
    request_id: Option<String>,
    #[serde(default, deserialize_with = "loose::string")]
    gateway_request_id: Option<String>,
    #[serde(default, deserialize_with = "loose::string")]
    response_url: Option<String>,
    #[serde(default, deserialize_with = "loose::string")]
    status_url: Option<String>,
    #[serde(default, deserialize_with = "loose::string")]
    cancel_url: Option<String>,
}

impl QueueClient {
    /// Sends a model's input to fal's queue, once. `body` is the input's JSON as it is.
    ///
    /// The whole call ends at the submit timeout or at the options' deadline, on the monotonic clock. A caller that
    /// drops the future must take the outcome as unknown.
    pub async fn submit(&self, endpoint: &EndpointId, body: Bytes, options: &SubmitOptions<'_>) -> SubmitOutcome {
        let own_deadline = Instant::now() + self.config.submit_timeout;
        let deadline = options.deadline.map_or(own_deadline, |asked| asked.min(own_deadline));
        let url = queue_urls::submit(&self.config.queue_url, endpoint, options.webhook_url);
        let start_timeout = seconds(options.start_timeout);
        let request = self
            .request(Method::POST, url)
            .header(CONTENT_TYPE, "application/json")
            .header("x-fal-request-start-timeout", &start_timeout)
            .header("x-fal-request-timeout", &start_timeout)
            .body(body);
        failpoints::hit(Point::SubmitBeforePost);
        match exchange::send(request, deadline).await {
            Err(SendFailure::NotSent(message)) => SubmitOutcome::NotSent { message: self.clean(&message) },
            Err(SendFailure::Lost(message)) => SubmitOutcome::Unknown { message: self.clean(&message) },
            Ok(response) if response.status().is_success() => self.accepted(response, deadline).await,
            Ok(response) => self.not_accepted(response, deadline).await,
        }
    }

    async fn accepted(&self, response: Response, deadline: Instant) -> SubmitOutcome {
        let status = response.status();
        let unknown =
            |what: &str| SubmitOutcome::Unknown { message: self.clean(&format!("HTTP {}: {what}", status.as_u16())) };
        let body = match exchange::read(response, SUBMIT_ANSWER_MAX, deadline).await {
            Ok(body) => body,
            Err(ReadFailure::TooLarge) => return unknown("the answer is too large"),
            Err(ReadFailure::Broken(message)) => return unknown(&message),
        };
        let Ok(answer) = serde_json::from_slice::<SubmitAnswer>(&body) else {
            return unknown("the answer cannot be read");
        };
        self.warn_of_foreign_urls(&answer);
        match answer.request_id {
            Some(request_id) if is_usable_request_id(&request_id) => SubmitOutcome::Accepted {
                request_id,
                gateway_request_id: answer.gateway_request_id.filter(|id| is_usable_request_id(id)),
            },
            _ => unknown("the answer has no usable request id"),
        }
    }

    /// Sorts every answer that is no 2xx.
    async fn not_accepted(&self, response: Response, deadline: Instant) -> SubmitOutcome {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = exchange::read_prefix(response, ERROR_BODY_MAX, deadline).await;
        let answer = Answer { status, headers, body };
        let message = self.message_of(&answer);
        match status.as_u16() {
            429 => SubmitOutcome::RateLimited { retry_after: headers::retry_after(&answer.headers), message },
            code if refuses_key(status) => SubmitOutcome::CredentialRefused { status: code, message },
            // A timeout or a hang-up on the way says nothing of what the queue did with the request.
            408 | 499 => SubmitOutcome::Unknown { message },
            404 => SubmitOutcome::Refused { status: 404, class: ErrorClass::UnknownModel, message },
            code @ 400..=498 => SubmitOutcome::Refused { status: code, class: self.classify(&answer).class, message },
            code @ 500.. if headers::is_from_fal(&answer.headers) => {
                SubmitOutcome::Refused { status: code, class: ErrorClass::Infrastructure, message }
            }
            // An ingress's own 5xx, and redirects, which are not followed.
            _ => SubmitOutcome::Unknown { message },
        }
    }

    /// fal's pages say to use the URLs it returns. We build our own; a foreign host among them is worth an alert.
    fn warn_of_foreign_urls(&self, answer: &SubmitAnswer) {
        let returned = [&answer.response_url, &answer.status_url, &answer.cancel_url];
        let is_foreign = |url: &&String| !queue_urls::is_on_known_host(&self.config.queue_url, url);
        if let Some(url) = returned.into_iter().flatten().find(is_foreign) {
            tracing::warn!(url = %self.clean(url), "fal returned a URL on a host we do not know; it is not used");
        }
    }
}

/// A duration as fal's headers want it: seconds, with a fraction only where there is one.
fn seconds(duration: Duration) -> String {
    duration.as_secs_f64().to_string()
}
