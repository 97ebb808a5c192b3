//! `GET …/status` and `PUT …/cancel`.

use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::answer;
use super::queue::Look;
use crate::catalogue;
use crate::request::{Request, RequestState};
use crate::run::CancelAnswer;

/// The status of a request; 200 means completed, 202 not yet.
pub(super) fn status(look: &Look) -> Response {
    let (done, body) = status_body(look, 0);
    answer::json_answer(if done { 200 } else { 202 }, &body)
}

/// Asks for a cancel.
pub(super) fn cancel(look: &Look) -> Response {
    let given = look.core.cancel(look.index);
    let code = match given {
        CancelAnswer::Ok => 200,
        CancelAnswer::Requested => 202,
        CancelAnswer::AlreadyCompleted => 400,
    };
    answer::json_answer(code, &json!({ "status": given.word() }))
}

/// Whether the request is over, and its status with all log lines but the first `skipped`.
pub(super) fn status_body(look: &Look, skipped: usize) -> (bool, Value) {
    let world = look.core.world();
    let request = &world.requests[look.index];
    let url = format!("{}/{}/requests/{}", look.base, catalogue::app_of(&request.endpoint), request.id);
    let mut body = json!({
        "status": request.state,
        "request_id": &*request.id,
        "response_url": url,
        "status_url": format!("{url}/status"),
        "cancel_url": format!("{url}/cancel"),
    });
    if request.state == RequestState::InQueue {
        body["queue_position"] = json!(world.position(look.index));
    } else {
        let lines = logs(request);
        body["logs"] = if look.logs { json!(lines.get(skipped..).unwrap_or_default()) } else { Value::Null };
    }
    if let Some(finished) = &request.finished {
        body["metrics"] = finished.inference.map_or_else(|| json!({}), |seconds| json!({ "inference_time": seconds }));
        if let (Some(error), Some(error_type)) = (&finished.error, &finished.error_type) {
            body["error"] = json!(error);
            body["error_type"] = json!(error_type);
        }
    }
    (request.state == RequestState::Completed, body)
}

/// How many log lines a request has by now.
pub(super) fn log_count(look: &Look) -> usize {
    logs(&look.core.world().requests[look.index]).len()
}

fn logs(request: &Request) -> Vec<Value> {
    let line = |at: DateTime<Utc>, message: &str| {
        let timestamp = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        json!({ "message": message, "level": "INFO", "source": "USER", "timestamp": timestamp })
    };
    let started = request.started_at.into_iter().flat_map(|at| [line(at, "Loading model"), line(at, "Generating")]);
    let completed = request.completed_at.map(|at| line(at, "Finished"));
    started.chain(completed).collect()
}
