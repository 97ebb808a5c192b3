//! `GET …/status/stream`: the status as server-sent events, until the request is over.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use futures::stream;
use http::{HeaderValue, header};
use serde_json::Value;

use super::queue::Look;
use super::status::{log_count, status_body};

/// How long the stream is silent before it sends a comment, so that nothing in between closes it.
const SILENCE: Duration = Duration::from_secs(10);

/// What the next event depends on.
struct Cursor {
    look: Look,
    shown: Option<Value>,
    logs: usize,
    over: bool,
}

/// Streams one event per change; its log lines are those since the event before.
pub(super) fn stream(look: &Look) -> Response {
    let look = Look { core: look.core.clone(), index: look.index, base: look.base.clone(), logs: look.logs };
    let cursor = Cursor { look, shown: None, logs: 0, over: false };
    let events =
        stream::unfold(cursor, |cursor| async move { if cursor.over { None } else { Some(next(cursor).await) } });
    let mut response = Response::new(Body::from_stream(events));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn next(mut cursor: Cursor) -> (Result<String, std::convert::Infallible>, Cursor) {
    let mut changes = cursor.look.core.changes();
    loop {
        let logs = log_count(&cursor.look);
        let (over, body) = status_body(&cursor.look, cursor.logs);
        let key = identity(&body);
        if cursor.shown.as_ref() != Some(&key) {
            let event = format!("data: {body}\n\n");
            return (Ok(event), Cursor { shown: Some(key), logs, over, ..cursor });
        }
        cursor.over = over;
        if tokio::time::timeout(SILENCE, changes.changed()).await.is_err() {
            return (Ok(": still here\n\n".to_owned()), cursor);
        }
    }
}

/// What makes two events different: state and place, not the log lines that the first has already shown.
fn identity(body: &Value) -> Value {
    serde_json::json!([body["status"], body["queue_position"]])
}
