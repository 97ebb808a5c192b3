//! Callbacks that an operator has checked or processed again.

use crate::{Receiver, VerifiedCallback, meaning};
use bytes::Bytes;
use domain::{AttemptId, CallbackId, CredentialId};
use fal::{callback::CallbackHeaders, jwks::Verdict};
use http::{HeaderMap, HeaderValue};
use store::settle::Disposition;

/// A callback as it was stored.
#[derive(Clone, Debug)]
pub struct StoredCallback {
    pub id: CallbackId,
    pub credential: CredentialId,
    pub attempt: AttemptId,
    pub request_id: String,
    pub user_id: String,
    pub signed_at: i64,
    /// Lower-case hex.
    pub signature: String,
    pub body: Bytes,
}

/// Why a stored callback cannot be processed again.
#[derive(Debug, thiserror::Error)]
pub enum ReprocessError {
    #[error("the stored headers are not those that fal sends")]
    Headers,
    #[error("the signature does not fit the stored bytes")]
    Forged,
    #[error("the signature cannot be checked, since fal's keys are not at hand")]
    CannotCheck,
    #[error("the body speaks of another request than its header")]
    OtherRequest,
    #[error("the store failed")]
    Store(#[source] store::Error),
}

impl Receiver {
    /// Checks the signature of a stored callback with today's keys.
    pub async fn verify_again(&self, stored: &StoredCallback) -> Result<Verdict, ReprocessError> {
        let headers = headers(stored)?;
        Ok(self.keys.check(&headers, &stored.body).await)
    }

    /// Checks a stored callback again and settles it, whatever its age. What it says already changes nothing.
    pub async fn reprocess(&self, stored: StoredCallback) -> Result<Disposition, ReprocessError> {
        let headers = headers(&stored)?;
        match self.keys.check(&headers, &stored.body).await {
            Verdict::Genuine => {}
            Verdict::Forged => return Err(ReprocessError::Forged),
            Verdict::CannotCheck => return Err(ReprocessError::CannotCheck),
        }
        let callback = VerifiedCallback {
            id: stored.id,
            credential: stored.credential,
            attempt: stored.attempt,
            headers,
            body: stored.body,
        };
        let news = meaning::news(&callback, self.leeway, true).map_err(|_| ReprocessError::OtherRequest)?;
        self.settler.callback(news).await.map_err(ReprocessError::Store)
    }
}

fn headers(stored: &StoredCallback) -> Result<CallbackHeaders, ReprocessError> {
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| ReprocessError::Headers);
    let mut headers = HeaderMap::new();
    headers.insert("x-fal-webhook-request-id", value(&stored.request_id)?);
    headers.insert("x-fal-webhook-user-id", value(&stored.user_id)?);
    headers.insert("x-fal-webhook-timestamp", value(&stored.signed_at.to_string())?);
    headers.insert("x-fal-webhook-signature", value(&stored.signature)?);
    CallbackHeaders::from(&headers).map_err(|_| ReprocessError::Headers)
}
