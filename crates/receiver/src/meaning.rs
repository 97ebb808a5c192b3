//! What the body of a verified callback says.

use crate::VerifiedCallback;
use domain::{Charged, Failure, RequestId};
use fal::{
    callback::{CallbackBody, CallbackStatus},
    taxonomy::{Charge, classify_model_error},
};
use sha2::{Digest, Sha256};
use std::time::Duration;
use store::settle::{CallbackNews, KeptCause, Said};

/// A body whose request id is not the one that was signed in the header.
#[derive(Debug)]
pub(crate) struct OtherRequest;

/// Turns a verified callback into what the store settles.
pub(crate) fn news(callback: &VerifiedCallback, leeway: Duration, again: bool) -> Result<CallbackNews, OtherRequest> {
    let (said, gateway_request_id) = match CallbackBody::parse(&callback.body) {
        Ok(body) if body.request_id != callback.headers.request_id.as_str() => return Err(OtherRequest),
        Ok(body) => (said(callback, &body), body.gateway_request_id),
        Err(_) => (Said::Unusable(KeptCause::UnreadableBody), None),
    };
    Ok(CallbackNews {
        id: callback.id,
        credential: callback.credential,
        attempt: callback.attempt,
        request_id: RequestId(callback.headers.request_id.clone()),
        user_id: callback.headers.user_id.clone(),
        signed_at: callback.headers.timestamp,
        signature: hex::encode(callback.headers.signature),
        body_sha256: Sha256::digest(&callback.body).into(),
        body: callback.body.clone(),
        gateway_request_id,
        said,
        leeway,
        again,
    })
}

fn said(callback: &VerifiedCallback, body: &CallbackBody<'_>) -> Said {
    match (&body.status, body.payload) {
        // A slice of the body, so that not a byte of the result is copied or changed.
        (CallbackStatus::Ok, Some(payload)) => Said::Ok(callback.body.slice_ref(payload.get().as_bytes())),
        (CallbackStatus::Ok, None) => Said::Unusable(KeptCause::NullPayload),
        (CallbackStatus::Error, payload) => {
            error(body.error.as_deref(), payload.map(|payload| payload.get().as_bytes()))
        }
        (CallbackStatus::Other(_), _) => Said::Unusable(KeptCause::UnknownStatus),
    }
}

fn error(text: Option<&str>, payload: Option<&[u8]>) -> Said {
    let classified = classify_model_error(None, None, text, payload.unwrap_or_default());
    let failure = Failure { class: classified.class, charged: charged(classified.charged) };
    Said::Error { failure, message: classified.message }
}

/// fal's word on the charge, in ours.
pub(crate) const fn charged(charge: Charge) -> Charged {
    match charge {
        Charge::No => Charged::No,
        Charge::Maybe => Charged::Perhaps,
        Charge::Yes => Charged::Yes,
    }
}
