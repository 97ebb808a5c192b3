//! Answers in fal's shapes.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::REQUEST_ID;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-fal-error-type");

/// A JSON answer.
pub(super) fn json_answer(status: u16, body: &Value) -> Response {
    bytes_answer(status, Bytes::from(body.to_string()))
}

/// A JSON answer whose body is ready.
pub(super) fn bytes_answer(status: u16, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error whose `detail` is a text.
pub(super) fn detail(status: u16, text: &str) -> Response {
    json_answer(status, &json!({ "detail": text }))
}

/// An infrastructure error: flat body and header.
pub(super) fn flat(status: u16, text: &str, error_type: &str) -> Response {
    let response = json_answer(status, &json!({ "detail": text, "error_type": error_type }));
    with_header(response, ERROR_TYPE, error_type)
}

/// An error of the platform API.
pub(super) fn platform_error(status: u16, kind: &str, message: &str) -> Response {
    json_answer(status, &json!({ "error": { "type": kind, "message": message } }))
}

/// Adds a header; a value that cannot be one is left out.
pub(super) fn with_header(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Names the request that an answer is about.
pub(super) fn about(response: Response, request_id: &str) -> Response {
    with_header(response, REQUEST_ID, request_id)
}
