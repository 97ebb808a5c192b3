//! One fetch of the key set, within its caps of time and size.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use thiserror::Error;
use tokio::time::Instant;
use url::Url;

use crate::callback::{JWKS_BYTES_MAX, JwksError, VerifyingKeys};
use crate::exchange::{self, ReadFailure};

/// Whole deadline of a fetch. It leaves time to answer fal's callback within fal's own 15 s.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there are no fresh keys.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("no answer: {0}")]
    Call(String),
    #[error("the answer has status {0}")]
    Status(StatusCode),
    #[error("the answer could not be read: {0}")]
    Read(String),
    #[error("the key set is larger than 64 kB")]
    TooLarge,
    #[error("{0}")]
    Keys(JwksError),
}

/// Fetches a key set and checks that it has a usable key.
pub(super) async fn fetch(http: &reqwest::Client, url: &Url) -> Result<(Bytes, VerifyingKeys), FetchError> {
    let deadline = Instant::now() + FETCH_TIMEOUT;
    let sent = exchange::send(http.get(url.clone()), deadline).await;
    let response = sent.map_err(|failure| FetchError::Call(failure.into_message()))?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let bytes = exchange::read(response, JWKS_BYTES_MAX as u64, deadline).await.map_err(|failure| match failure {
        ReadFailure::TooLarge => FetchError::TooLarge,
        ReadFailure::Broken(message) => FetchError::Read(message),
    })?;
    let keys = VerifyingKeys::from_jwks(&bytes).map_err(FetchError::Keys)?;
    Ok((bytes, keys))
}
