//! `POST /{endpoint}`: the one call that costs money, and the faults that hide whether it did.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value, json};

use super::{Connection, FromIngress, answer};
use crate::account::Caller;
use crate::admit::{Draw, Order};
use crate::catalogue::{self, Model};
use crate::config::ValidationMode;
use crate::core::Core;
use crate::faults::Fault;
use crate::output::{self, Input};

/// A submit as it came.
pub(super) struct Ask<'a> {
    pub(super) caller: Caller,
    pub(super) endpoint: &'a str,
    /// Where the answer's URLs lead.
    pub(super) base: String,
    pub(super) query: HashMap<String, String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Answers a submit.
pub(super) async fn submit(core: &Arc<Core>, connection: &Connection, ask: Ask<'_>) -> Response {
    let (order, prompt) = match understand(core, ask.caller, ask.endpoint, &ask.headers, &ask.query, ask.body) {
        Ok(understood) => understood,
        Err(refusal) => return *refusal,
    };
    let draw = core.draw(&prompt);
    if let Some(refusal) = refusal(&draw) {
        core.refuse(refusal.status().as_u16());
        return refusal;
    }
    let longest = ask.query.get("fal_max_queue_length").and_then(|longest| longest.parse::<usize>().ok());
    if longest.is_some_and(|longest| core.world().queued_at(&order.endpoint) > longest) {
        core.refuse(429);
        return answer::detail(429, "The queue of this endpoint is too long");
    }
    let hang = draw.has(Fault::SubmitHang).then_some(draw.rates.submit_hang_for);
    if let Some(patience) = hang.filter(|_| !core.dice.hit(0.5, draw.ordinal, "hang_accepts", 0)) {
        return cut(connection, patience).await;
    }
    let cause = Cause::of(&draw);
    let admitted = core.admit(order, draw);
    match cause {
        Cause::Hang(patience) => cut(connection, patience).await,
        Cause::Reset => cut(connection, Duration::ZERO).await,
        Cause::Ingress => bad_gateway(),
        Cause::Hold(most) => {
            let index = admitted.index;
            // Whoever is told first: that the webhook went out, or that it took too long.
            let _ = tokio::time::timeout(most, admitted.first_try).await;
            accepted(core, index, &ask.base)
        }
        Cause::Slow(by) => {
            tokio::time::sleep(by).await;
            accepted(core, admitted.index, &ask.base)
        }
        Cause::None => accepted(core, admitted.index, &ask.base),
    }
}

/// Why the answer to an accepted submit is not the plain one.
enum Cause {
    Hang(Duration),
    Reset,
    Ingress,
    Hold(Duration),
    Slow(Duration),
    None,
}

impl Cause {
    fn of(draw: &Draw) -> Self {
        let rates = &draw.rates;
        if draw.has(Fault::SubmitHang) {
            Self::Hang(rates.submit_hang_for)
        } else if draw.has(Fault::AcceptThenReset) {
            Self::Reset
        } else if draw.has(Fault::AcceptThen502) {
            Self::Ingress
        } else if draw.has(Fault::CallbackBeforeAnswer) {
            Self::Hold(rates.callback_before_answer_for)
        } else if draw.has(Fault::SubmitSlow) {
            Self::Slow(rates.submit_slow_by)
        } else {
            Self::None
        }
    }
}

/// Turns a call into an order, or says what is wrong with it. Also gives the prompt, by which scripts are found.
pub(super) fn understand(
    core: &Core,
    caller: Caller,
    endpoint: &str,
    headers: &HeaderMap,
    query: &HashMap<String, String>,
    body: Bytes,
) -> Result<(Order, String), Box<Response>> {
    let refuse = |response: Response| {
        core.refuse(response.status().as_u16());
        Box::new(response)
    };
    let owner = endpoint.split('/').next().unwrap_or_default();
    let Some(model) = catalogue::find(endpoint) else {
        return Err(refuse(answer::detail(404, &format!("Application '{owner}' not found"))));
    };
    let prompt = prompt_of(core, model, &body).map_err(|detail| {
        let response = answer::json_answer(422, &json!({ "detail": detail }));
        refuse(answer::with_header(response, HeaderName::from_static("x-fal-billable-units"), "0"))
    })?;
    let start_within = start_within(headers).map_err(|response| refuse(*response))?;
    let low_priority = headers.get("x-fal-queue-priority").is_some_and(|priority| priority == "low");
    let webhook = query.get("fal_webhook").cloned();
    let order =
        Order { caller, endpoint: endpoint.to_owned(), model, webhook, input: body, low_priority, start_within };
    Ok((order, prompt))
}

fn prompt_of(core: &Core, model: &Model, body: &[u8]) -> Result<String, Value> {
    let input: Input = serde_json::from_slice(body)
        .map_err(|error| json!([{ "loc": ["body"], "msg": error.to_string(), "type": "json_invalid" }]))?;
    if core.config.validation == ValidationMode::AtSubmit {
        output::check(model, &input)?;
    }
    Ok(input.get("prompt").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// The start deadline: the newer header wins over the older one.
fn start_within(headers: &HeaderMap) -> Result<Option<Duration>, Box<Response>> {
    let newer = headers.get("x-fal-request-start-timeout");
    let Some(value) = newer.or_else(|| headers.get("x-fal-request-timeout")) else {
        return Ok(None);
    };
    let seconds = value.to_str().ok().and_then(|text| text.trim().parse::<f64>().ok());
    let deadline = seconds.filter(|seconds| *seconds > 0.1).and_then(|s| Duration::try_from_secs_f64(s).ok());
    let text = "The request timeout must be a number above 0.1";
    deadline.map(Some).ok_or_else(|| Box::new(answer::flat(400, text, "bad_request")))
}

/// The answer of a fault that accepts nothing.
fn refusal(draw: &Draw) -> Option<Response> {
    if draw.has(Fault::Submit401) {
        return Some(super::auth::refusal());
    }
    if draw.has(Fault::Submit403) {
        let text = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.";
        return Some(answer::detail(403, text));
    }
    if draw.has(Fault::Submit429) {
        let response = answer::detail(429, "Too many requests");
        return Some(answer::with_header(response, header::RETRY_AFTER, "1"));
    }
    draw.has(Fault::Submit5xx).then(|| answer::flat(503, "No runner could be scheduled", "runner_scheduling_failure"))
}

fn accepted(core: &Core, index: usize, base: &str) -> Response {
    let world = core.world();
    let request = &world.requests[index];
    let url = format!("{base}/{}/requests/{}", catalogue::app_of(&request.endpoint), request.id);
    let body = json!({
        "status": "IN_QUEUE",
        "request_id": &*request.id,
        "gateway_request_id": &*request.gateway_id,
        "response_url": url,
        "status_url": format!("{url}/status"),
        "cancel_url": format!("{url}/cancel"),
        "queue_position": world.position(index),
    });
    answer::about(answer::json_answer(200, &body), &request.id)
}

/// An ingress's own page: no JSON, no header of fal's, and the word by which fal's client knows it.
fn bad_gateway() -> Response {
    let page = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center>\
                <hr><center>nginx</center></body></html>\n";
    let mut response = answer::bytes_answer(502, Bytes::from_static(page.as_bytes()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response.extensions_mut().insert(FromIngress);
    response
}

/// Resets the connection after a while. The answer never leaves.
async fn cut(connection: &Connection, after: Duration) -> Response {
    tokio::time::sleep(after).await;
    connection.reset.cancel();
    std::future::pending().await
}
