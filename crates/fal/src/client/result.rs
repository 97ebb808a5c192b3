//! Fetching a result: the model's own answer, byte for byte, or the error that it ended in.

use std::time::Duration;

use bytes::Bytes;
use domain::ErrorClass;
use http::{Method, StatusCode};
use reqwest::Response;
use serde::Deserialize;
use tokio::time::Instant;

use super::{Answer, ERROR_BODY_MAX, QueueClient, headers, queue_urls, refuses_key};
use crate::endpoint_id::EndpointId;
use crate::exchange::{self, ReadFailure};
use crate::request_id::is_usable_request_id;
use crate::taxonomy::Charge;

/// What fal holds as the result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultOutcome {
    /// The model's output.
    Ok {
        body: Bytes,
        /// fal's units of the run, as it wrote them.
        billable_units: Option<String>,
    },
    /// The model's or the runner's error, replayed by fal.
    ModelError {
        status: u16,
        /// The error's body, at most 256 kB of it.
        body: Bytes,
        class: ErrorClass,
        retryable: bool,
        message: String,
        charged: Charge,
        billable_units: Option<String>,
    },
    /// The run is not over.
    NotReady,
    /// fal no longer holds the result.
    Gone,
    /// The result is larger than the client is set to read.
    TooLarge,
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

impl QueueClient {
    /// Fetches a request's result, never holding more than the configured cap in memory.
    pub async fn result(&self, endpoint: &EndpointId, request_id: &str) -> ResultOutcome {
        if !is_usable_request_id(request_id) {
            return unavailable("the request id is not usable".to_owned());
        }
        let url = queue_urls::request(&self.config.queue_url, endpoint, request_id, None);
        let deadline = Instant::now() + self.config.call_timeout;
        match exchange::send(self.request(Method::GET, url), deadline).await {
            Err(failure) => unavailable(self.clean(&failure.into_message())),
            Ok(response) if response.status().is_success() => self.output(response, deadline).await,
            Ok(response) => {
                let (status, headers) = (response.status(), response.headers().clone());
                let body = exchange::read_prefix(response, ERROR_BODY_MAX, deadline).await;
                self.no_output(Answer { status, headers, body })
            }
        }
    }

    async fn output(&self, response: Response, deadline: Instant) -> ResultOutcome {
        let billable_units = headers::billable_units(response.headers());
        let status = response.status();
        match exchange::read(response, self.config.result_max_bytes, deadline).await {
            Ok(body) if status == StatusCode::ACCEPTED && says_unfinished(&body) => ResultOutcome::NotReady,
            Ok(body) => ResultOutcome::Ok { body, billable_units },
            Err(ReadFailure::TooLarge) => ResultOutcome::TooLarge,
            Err(ReadFailure::Broken(message)) => unavailable(self.clean(&message)),
        }
    }

    fn no_output(&self, answer: Answer) -> ResultOutcome {
        match answer.status.as_u16() {
            400 if says_unfinished(&answer.body) => ResultOutcome::NotReady,
            status if refuses_key(answer.status) => {
                ResultOutcome::CredentialRefused { status, message: self.message_of(&answer) }
            }
            429 => ResultOutcome::RateLimited { retry_after: headers::retry_after(&answer.headers) },
            404 | 410 if !is_of_the_run(&answer) => ResultOutcome::Gone,
            499 => self.model_error(answer),
            400..=498 if is_replayed(&answer) => self.model_error(answer),
            500.. if headers::is_from_fal(&answer.headers) => self.model_error(answer),
            _ => unavailable(self.message_of(&answer)),
        }
    }

    fn model_error(&self, answer: Answer) -> ResultOutcome {
        let sorted = self.classify(&answer);
        ResultOutcome::ModelError {
            status: answer.status.as_u16(),
            class: sorted.class,
            retryable: sorted.retryable,
            message: sorted.message,
            charged: sorted.charged,
            billable_units: headers::billable_units(&answer.headers),
            body: answer.body,
        }
    }
}

/// A runner's 404 (the app has no such path) carries units, a result that is gone does not.
fn is_of_the_run(answer: &Answer) -> bool {
    headers::billable_units(&answer.headers).is_some()
}

/// Whether a 4xx came from fal or a model. An ingress in front of fal answers in HTML and without fal's header, and its
/// word must not end an attempt.
fn is_replayed(answer: &Answer) -> bool {
    let passing = matches!(answer.status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY);
    !passing && (headers::is_from_fal(&answer.headers) || answer.body.trim_ascii_start().starts_with(b"{"))
}

/// Whether a body says that the run is not over; fal answers 400 with such a text.
fn says_unfinished(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Unfinished {
        status: Option<String>,
        detail: Option<String>,
    }
    let Ok(read) = serde_json::from_slice::<Unfinished>(body) else {
        return false;
    };
    let waits = matches!(read.status.as_deref(), Some("IN_QUEUE" | "IN_PROGRESS"));
    waits || read.detail.is_some_and(|detail| detail.to_ascii_lowercase().contains("in progress"))
}

fn unavailable(message: String) -> ResultOutcome {
    ResultOutcome::Unavailable { message }
}
