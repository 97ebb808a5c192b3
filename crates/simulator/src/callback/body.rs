//! The bodies of webhooks: genuine, bent by a fault, or contradicting the genuine one.

use bytes::Bytes;

use crate::faults::Fault;
use crate::hostile;
use crate::request::{Finished, OutcomeKind, Plan, Request};

/// What an oversize body is padded with: more than the 8 MB that a receiver must take.
const OVERSIZE: usize = 8_500_000;

/// An answer that contradicts the true one.
pub(super) struct Turned {
    pub(super) status: &'static str,
    pub(super) error: Option<&'static str>,
    pub(super) payload: &'static str,
}

/// The name of the fault that bends the genuine body, for the log.
pub(super) fn fault(plan: &Plan) -> Option<&'static str> {
    [
        (Fault::CallbackNullPayload, "null_payload"),
        (Fault::CallbackHostileJson, "hostile_json"),
        (Fault::CallbackOversize, "oversize"),
    ]
    .into_iter()
    .find_map(|(fault, name)| plan.has(fault).then_some(name))
}

/// The body that fal would send, bent by the request's faults. Only a good result can be bent.
pub(super) fn genuine(request: &Request, finished: &Finished) -> Bytes {
    if finished.kind != OutcomeKind::Ok {
        let error = format!("Invalid status code: {}", finished.status);
        return envelope(request, "ERROR", Some(&error), &finished.payload);
    }
    let plan = &request.plan;
    if plan.has(Fault::CallbackNullPayload) {
        return null_payload(request);
    }
    if plan.has(Fault::CallbackHostileJson) {
        let (kind, member) = hostile::member(request.ordinal);
        let body = envelope(request, "OK", None, &hostile::with_member(&finished.payload, &member));
        let twice = kind == "duplicate_keys";
        return if twice { hostile::with_member(&body, b"\"status\": \"OK\"").into() } else { body };
    }
    if plan.has(Fault::CallbackOversize) {
        let member = [b"\"padding\": \"".as_slice(), &vec![b'-'; OVERSIZE], b"\""].concat();
        return envelope(request, "OK", None, &hostile::with_member(&finished.payload, &member));
    }
    envelope(request, "OK", None, &finished.payload)
}

/// Wraps a payload as fal does.
pub(super) fn envelope(request: &Request, status: &str, error: Option<&str>, payload: &[u8]) -> Bytes {
    let (id, gateway) = (&request.id, &request.gateway_id);
    let error = error.map(|error| format!(r#""error": "{error}", "#)).unwrap_or_default();
    let head = format!(
        r#"{{"request_id": "{id}", "gateway_request_id": "{gateway}", "status": "{status}", {error}"payload": "#
    );
    let payload: &[u8] = if payload.is_empty() { b"null" } else { payload };
    [head.as_bytes(), payload, b"}"].concat().into()
}

/// A payload that differs from the true one: an error in place of a result, or another result.
pub(super) fn turned(was_ok: bool, bits: u64) -> Turned {
    if was_ok && bits.is_multiple_of(2) {
        let payload = r#"{"detail": "Internal server error", "error_type": "internal_error"}"#;
        return Turned { status: "ERROR", error: Some("Invalid status code: 500"), payload };
    }
    let payload =
        r#"{"images": [{"url": "https://v3.fal.media/files/forged/0.png", "content_type": "image/png"}], "seed": 666}"#;
    Turned { status: "OK", error: None, payload }
}

fn null_payload(request: &Request) -> Bytes {
    let (id, gateway) = (&request.id, &request.gateway_id);
    let body = format!(
        r#"{{"request_id": "{id}", "gateway_request_id": "{gateway}", "status": "OK", "payload": null, "payload_error": "Response payload is not JSON serializable."}}"#
    );
    body.into()
}
