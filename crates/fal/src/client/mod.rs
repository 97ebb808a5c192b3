//! The client of fal's queue and platform APIs, one per credential.
//!
//! Each call makes exactly one exchange and returns a closed set of outcomes. The client retries nothing and follows no
//! URL that fal returns: every URL is built from the configured base, so the key cannot reach another host.

mod cancel;
mod config;
mod headers;
mod platform;
pub mod queue_urls;
mod result;
mod status;
mod submit;

use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use url::Url;

pub use cancel::CancelOutcome;
pub use config::{ClientConfig, ConfigError};
pub use platform::{BillingEvent, BillingOutcome, HistoryItem, HistoryOutcome, ListingOutcome, Price, PricesError};
pub use result::ResultOutcome;
pub use status::StatusOutcome;
pub use submit::{SubmitOptions, SubmitOutcome};

use crate::exchange::{self, ReadFailure};
use crate::{taxonomy, text};

/// How much of an error's body is read.
const ERROR_BODY_MAX: usize = 256 * 1024;

/// A client of fal for one key. Cheap to clone; all clones and all credentials may share one `reqwest::Client`.
#[derive(Clone, Debug)]
pub struct QueueClient {
    http: reqwest::Client,
    config: ClientConfig,
    authorization: HeaderValue,
}

/// The head of an answer and as much of its body as the call allows.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl QueueClient {
    /// Builds a client on a connection pool made by [`crate::http_client`].
    pub fn new(config: ClientConfig, http: reqwest::Client) -> Result<Self, ConfigError> {
        config.check()?;
        let authorization = config.authorization()?;
        Ok(Self { http, config, authorization })
    }

    fn request(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        self.http.request(method, url).header(AUTHORIZATION, self.authorization.clone())
    }

    /// Makes one call whose failures need no sorting. A body beyond `cap` is a failure; an error's body is cut.
    async fn call(&self, method: Method, url: Url, cap: u64) -> Result<Answer, String> {
        let deadline = Instant::now() + self.config.call_timeout;
        let sent = exchange::send(self.request(method, url), deadline).await;
        let response = sent.map_err(|failure| self.clean(&failure.into_message()))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = if status.is_success() {
            exchange::read(response, cap, deadline).await.map_err(|failure| match failure {
                ReadFailure::TooLarge => "the answer is larger than expected".to_owned(),
                ReadFailure::Broken(message) => self.clean(&message),
            })?
        } else {
            exchange::read_prefix(response, ERROR_BODY_MAX, deadline).await
        };
        Ok(Answer { status, headers, body })
    }

    /// Makes foreign text fit for people and takes the key out of it, should fal or a proxy echo it.
    fn clean(&self, text: &str) -> String {
        text::clip(&without_key(text, &self.config.key))
    }

    /// Sorts an error answer, with the key taken out of its message.
    fn classify(&self, answer: &Answer) -> taxonomy::Classified {
        let mut sorted = headers::classify(answer);
        sorted.message = without_key(&sorted.message, &self.config.key);
        sorted
    }

    /// What an error answer says, for people.
    fn message_of(&self, answer: &Answer) -> String {
        let sorted = self.classify(answer);
        text::clip(&format!("HTTP {}: {}", answer.status.as_u16(), sorted.message))
    }
}

/// Replaces the key, and each half of it that is long enough to be no common word.
fn without_key(text: &str, key: &SecretString) -> String {
    const COMMON_WORD_MAX: usize = 7;
    let key = key.expose_secret();
    let mut clean = text.replace(key, "[key]");
    for half in key.split(':').filter(|half| half.len() > COMMON_WORD_MAX) {
        clean = clean.replace(half, "[key]");
    }
    clean
}

/// The status codes with which fal refuses a key: wrong, without credit, locked or without the scope.
fn refuses_key(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401..=403)
}

/// The longest wait that fal is believed to ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_and_its_secret_half_leave_every_text() {
        let key = SecretString::from("key-id:0123456789abcdef");
        let text = without_key("Key key-id:0123456789abcdef, 0123456789abcdef, key-id", &key);
        assert_eq!(text, "Key [key], [key], key-id");
    }
}
