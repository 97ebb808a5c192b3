//! The body of a callback: read without a change to its payload, and never differently from another reader of JSON.

use fal::{
    callback::{BodyError, CALLBACK_DEPTH_MAX, CallbackBody, CallbackStatus},
    taxonomy::classify_model_error,
};
use serde_json::{Value, value::RawValue};

/// Bytes of the longest message that leaves the protocol crate, as its documentation says.
const MESSAGE_MAX: usize = 1024;

/// Reads the bytes as a callback's body and, where they are one, sorts the error that it tells of.
pub fn callback_body(data: &[u8]) {
    match CallbackBody::parse(data) {
        Ok(body) => {
            a_payload_is_a_slice_of_what_came(data, &body);
            another_reader_agrees(data, &body);
            an_error_can_be_shown(&body);
        }
        Err(BodyError::NotUtf8) => assert!(std::str::from_utf8(data).is_err()),
        Err(BodyError::TooDeep) => {
            let brackets = data.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
            assert!(brackets > CALLBACK_DEPTH_MAX, "{brackets} brackets cannot nest too deep");
        }
        Err(BodyError::Malformed(_)) => {}
    }
}

fn a_payload_is_a_slice_of_what_came(data: &[u8], body: &CallbackBody<'_>) {
    let Some(payload) = body.payload else { return };
    let (whole, part) = (data.as_ptr_range(), payload.get().as_bytes().as_ptr_range());
    assert!(whole.start < part.start && part.end < whole.end, "the payload was copied");
    let again: &RawValue = serde_json::from_str(payload.get()).unwrap();
    assert_eq!(again.get(), payload.get());
    assert_ne!(payload.get(), "null");
}

/// `serde_json::Value` cannot hold every number and lets the last of equal keys win; what it can read, it must read alike.
fn another_reader_agrees(data: &[u8], body: &CallbackBody<'_>) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    assert_eq!(value["request_id"].as_str(), Some(body.request_id.as_ref()));
    let status = match &body.status {
        CallbackStatus::Ok => "OK",
        CallbackStatus::Error => "ERROR",
        CallbackStatus::Other(word) => word,
    };
    assert_eq!(value["status"].as_str(), Some(status));
    let payload = body.payload.map(|payload| serde_json::from_str::<Value>(payload.get()).unwrap());
    assert_eq!(value["payload"], payload.unwrap_or_default());
}

fn an_error_can_be_shown(body: &CallbackBody<'_>) {
    let payload = body.payload.map(|payload| payload.get().as_bytes()).unwrap_or_default();
    let sorted = classify_model_error(None, None, body.error.as_deref(), payload);
    assert!(sorted.message.len() <= MESSAGE_MAX, "{} bytes", sorted.message.len());
    assert!(!sorted.message.chars().any(char::is_control), "{:?}", sorted.message);
}
