//! A callback whose token and signature have been checked. There is no other way to make one, so nothing can be settled
//! from a body that was not checked.

use crate::{WholeError, ingest::Listening, read_whole, rejections::Rejected};
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Request},
};
use bytes::Bytes;
use domain::{AttemptId, CallbackId, CredentialId};
use fal::{callback::CallbackHeaders, jwks::Verdict};
use http::{HeaderMap, StatusCode, header};
use std::time::Instant;
use store::settle::RejectedCause;

/// A callback that fal signed, sent to a URL that we made.
#[derive(Clone, Debug)]
pub struct VerifiedCallback {
    pub(crate) id: CallbackId,
    pub(crate) credential: CredentialId,
    pub(crate) attempt: AttemptId,
    pub(crate) headers: CallbackHeaders,
    pub(crate) body: Bytes,
}

impl FromRequest<Listening> for VerifiedCallback {
    type Rejection = StatusCode;

    async fn from_request(request: Request, listening: &Listening) -> Result<Self, StatusCode> {
        let receiver = &listening.receiver;
        let (mut parts, body) = request.into_parts();
        let Path(token) =
            Path::<String>::from_request_parts(&mut parts, listening).await.map_err(|_| StatusCode::NOT_FOUND)?;
        // Junk is refused here, before a byte of its body is read and without a question to the database.
        let Some((credential, attempt)) = receiver.tokens.verify(&token) else {
            metrics::counter!("falconer_callbacks_total", "disposition" => "not_found").increment(1);
            return Err(StatusCode::NOT_FOUND);
        };
        let id = CallbackId(store::fresh_id());
        let rejected = Rejected::new(id, credential, attempt, &parts.headers);
        if !is_plain_json(&parts.headers) {
            receiver.rejections.keep(rejected.because(RejectedCause::MediaType));
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let Ok(headers) = CallbackHeaders::from(&parts.headers) else {
            receiver.rejections.keep(rejected.because(RejectedCause::Headers));
            return Err(StatusCode::BAD_REQUEST);
        };
        let body = match read(&parts.headers, body, listening).await {
            Ok(body) => body,
            Err(StatusCode::PAYLOAD_TOO_LARGE) => {
                receiver.rejections.keep(rejected.because(RejectedCause::TooLarge));
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            Err(status) => return Err(status),
        };
        // The signature covers the bytes as sent, so they are checked before anything parses them.
        match receiver.keys.check(&headers, &body).await {
            // What nobody signed does not count here: it must not keep out what fal did sign.
            Verdict::Genuine if !listening.throttle.pass(attempt, &headers.user_id, Instant::now()) => {
                Err(throttled("repeated"))
            }
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
    let json = headers.get_all(header::CONTENT_TYPE).iter().all(|value| {
        let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
        value.split(';').next().is_some_and(|kind| kind.trim() == "application/json")
    });
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let plain = codings.all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    json && plain
}

async fn read(headers: &HeaderMap, body: Body, listening: &Listening) -> Result<Bytes, StatusCode> {
    let Listening { receiver, budget, .. } = listening;
    let bytes_max = receiver.body_max;
    let said = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|said| said > bytes_max as u64) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    match tokio::time::timeout(receiver.body_timeout, read_whole(body, bytes_max, budget)).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(WholeError::TooLarge)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(WholeError::Broken)) => Err(StatusCode::BAD_REQUEST),
        Ok(Err(WholeError::NoRoom)) => Err(throttled("no_room")),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// fal is told to come again, where somebody else takes too much of us.
fn throttled(cause: &'static str) -> StatusCode {
    metrics::counter!("falconer_callbacks_total", "disposition" => "throttled", "cause" => cause).increment(1);
    StatusCode::SERVICE_UNAVAILABLE
}
