//! `POST /run/{endpoint}`: the synchronous API, on a path of its own since one host serves everything here.
//!
//! The request takes a slot like any other, but is refused with 429 when none is free.

use std::collections::HashMap;
use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use serde_json::json;

use super::{answer, result, submit};
use crate::account::Caller;
use crate::core::Core;

/// Runs a model on the caller's connection.
pub(super) async fn run(
    core: &Arc<Core>,
    caller: Caller,
    endpoint: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    let account = caller.account;
    let (order, prompt) = match submit::understand(core, caller, endpoint, headers, &HashMap::new(), body) {
        Ok(understood) => understood,
        Err(refusal) => return *refusal,
    };
    if !core.world().accounts[account].meter.has_free() {
        core.refuse(429);
        let body =
            json!({ "detail": [{ "msg": "Too many concurrent requests", "type": "concurrent_requests_limit" }] });
        let response = answer::json_answer(429, &body);
        return answer::with_header(response, HeaderName::from_static("x-fal-needs-retry"), "1");
    }
    let index = core.admit(order, core.draw(&prompt)).index;
    let mut changes = core.changes();
    loop {
        {
            let world = core.world();
            let request = &world.requests[index];
            if let Some(finished) = &request.finished {
                return answer::about(result::replay(finished), &request.id);
            }
        }
        // The sender lives as long as `core`, so an error cannot come.
        let _ = changes.changed().await;
    }
}
