//! A callback whose token and signature have been checked. There is no other way to make one, so nothing can be settled
//! from a body that was not checked.

use crate::{Receiver, rejections::Rejected};
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Request},
};
use bytes::Bytes;
use domain::{AttemptId, CallbackId, CredentialId};
use fal::{callback::CallbackHeaders, jwks::Verdict};
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::time::Duration;
use store::settle::RejectedCause;
use uuid::Uuid;

/// For a whole body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// A callback that fal signed, sent to a URL that we made.
#[derive(Clone, Debug)]
pub struct VerifiedCallback {
    pub(crate) id: CallbackId,
    pub(crate) credential: CredentialId,
    pub(crate) attempt: AttemptId,
    pub(crate) headers: CallbackHeaders,
    pub(crate) body: Bytes,
}

impl FromRequest<Receiver> for VerifiedCallback {
    type Rejection = StatusCode;

    async fn from_request(request: Request, receiver: &Receiver) -> Result<Self, StatusCode> {
        let (mut parts, body) = request.into_parts();
        let Path(token) =
            Path::<String>::from_request_parts(&mut parts, receiver).await.map_err(|_| StatusCode::NOT_FOUND)?;
        // Junk is refused here, before a byte of its body is read and without a question to the database.
        let Some((credential, attempt)) = receiver.tokens.verify(&token) else {
            metrics::counter!("falconer_callbacks_total", "disposition" => "not_found").increment(1);
            return Err(StatusCode::NOT_FOUND);
        };
        let id = CallbackId(Uuid::now_v7());
        let rejected = Rejected::new(id, credential, attempt, &parts.headers);
        if !is_plain_json(&parts.headers) {
            receiver.rejections.keep(rejected.because(RejectedCause::MediaType));
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let Ok(headers) = CallbackHeaders::from(&parts.headers) else {
            receiver.rejections.keep(rejected.because(RejectedCause::Headers));
            return Err(StatusCode::BAD_REQUEST);
        };
        let body = match read(&parts.headers, body, receiver.body_max).await {
            Ok(body) => body,
            Err(StatusCode::PAYLOAD_TOO_LARGE) => {
                receiver.rejections.keep(rejected.because(RejectedCause::TooLarge));
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            Err(status) => return Err(status),
        };
        // The signature covers the bytes as sent, so they are checked before anything parses them.
        match receiver.keys.check(&headers, &body).await {
            Verdict::Genuine => Ok(Self { id, credential, attempt, headers, body }),
            Verdict::Forged => {
                receiver.rejections.keep(rejected.with_body(body).because(RejectedCause::Signature));
                Err(StatusCode::UNAUTHORIZED)
            }
            Verdict::CannotCheck => {
                metrics::counter!("falconer_callbacks_total", "disposition" => "cannot_check").increment(1);
                Err(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }
}

/// Whether the body is said to be JSON and not compressed. What is not said is taken as JSON: the signature decides.
fn is_plain_json(headers: &HeaderMap) -> bool {
    let json = headers.get(header::CONTENT_TYPE).is_none_or(|value| {
        let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
        value.split(';').next().is_some_and(|kind| kind.trim() == "application/json")
    });
    let plain =
        headers.get(header::CONTENT_ENCODING).is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    json && plain
}

async fn read(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, StatusCode> {
    let said = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|said| said > bytes_max as u64) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}
