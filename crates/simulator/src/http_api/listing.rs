//! The platform API's listings of past requests: history and billing events, newest end first, with their lag.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use http::HeaderMap;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::platform::refusal;
use super::{answer, auth};
use crate::config::HistoryMode;
use crate::core::Core;
use crate::request::{OutcomeKind, Request};

/// What both listings can be asked.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Ask {
    endpoint_id: Option<String>,
    request_id: Option<String>,
    start: Option<String>,
    end: Option<String>,
    status: Option<String>,
    expand: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// The bounds of a listing, understood.
struct Window {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    /// Only ends numbered below this.
    below: usize,
    limit: usize,
}

/// `GET /v1/models/requests/by-endpoint`: requests that have ended, with their inputs when asked to expand them.
pub(super) async fn requests(State(core): State<Arc<Core>>, headers: HeaderMap, Query(ask): Query<Ask>) -> Response {
    if let Some(refusal) = closed(&core, &headers, core.config.history) {
        return refusal;
    }
    let Some(endpoint) = &ask.endpoint_id else {
        return answer::platform_error(400, "validation_error", "endpoint_id is required");
    };
    let window = match window(&core, &ask, core.config.history_lag, 100) {
        Ok(window) => window,
        Err(refusal) => return *refusal,
    };
    let payloads = ask.expand.as_deref().is_some_and(|expand| expand.split(',').any(|part| part == "payloads"));
    list(&core, &window, |request| {
        let named = endpoint.split(',').any(|id| id == request.endpoint);
        let wanted = ask.request_id.as_deref().is_none_or(|id| id == &*request.id)
            && ask.status.as_deref().is_none_or(|status| status == status_word(request));
        (named && wanted).then(|| history_item(request, payloads))
    })
}

/// `GET /v1/models/billing-events`: what was charged.
pub(super) async fn billing_events(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    Query(ask): Query<Ask>,
) -> Response {
    if let Some(refusal) = closed(&core, &headers, core.config.billing) {
        return refusal;
    }
    let window = match window(&core, &ask, core.config.billing_lag, 10_000) {
        Ok(window) => window,
        Err(refusal) => return *refusal,
    };
    list(&core, &window, |request| {
        let wanted = ask.endpoint_id.as_deref().is_none_or(|id| id == request.endpoint)
            && ask.request_id.as_deref().is_none_or(|id| id == &*request.id);
        if wanted { billing_item(request) } else { None }
    })
}

fn closed(core: &Core, headers: &HeaderMap, mode: HistoryMode) -> Option<Response> {
    if !auth::is_authorised(core, headers) {
        return Some(refusal());
    }
    match mode {
        HistoryMode::On => None,
        HistoryMode::Off => Some(answer::platform_error(404, "not_found", "No such operation")),
        HistoryMode::Refused => Some(answer::platform_error(403, "authorization_error", "The key lacks the scope")),
    }
}

fn window(core: &Core, ask: &Ask, lag: std::time::Duration, most: usize) -> Result<Window, Box<Response>> {
    let bad = |what: &str| Box::new(answer::platform_error(400, "validation_error", &format!("{what} is malformed")));
    let lag = chrono::Duration::from_std(lag).unwrap_or(chrono::Duration::MAX);
    let visible = core.clock.now().checked_sub_signed(lag).unwrap_or(DateTime::<Utc>::MIN_UTC);
    let start = ask.start.as_deref().map_or(Some(DateTime::<Utc>::MIN_UTC), moment).ok_or_else(|| bad("start"))?;
    let end = ask.end.as_deref().map_or(Some(DateTime::<Utc>::MAX_UTC), moment).ok_or_else(|| bad("end"))?;
    let below = match ask.cursor.as_deref() {
        Some(cursor) => cursor.parse().map_err(|_| bad("cursor"))?,
        None => usize::MAX,
    };
    let limit = ask.limit.unwrap_or(50.min(most));
    if !(1..=most).contains(&limit) {
        return Err(bad("limit"));
    }
    Ok(Window { start, end: end.min(visible), below, limit })
}

/// Walks back through the ends. The cursor is the number of an end, so new ones do not shift the pages.
fn list(core: &Core, window: &Window, item: impl Fn(&Request) -> Option<Value>) -> Response {
    let world = core.world();
    let mut items = Vec::new();
    let mut last = 0;
    let mut more = false;
    for (number, index) in world.ended.iter().enumerate().take(window.below).rev() {
        let request = &world.requests[*index];
        let ended = request.completed_at.unwrap_or(request.posted_at);
        if ended < window.start || ended > window.end {
            continue;
        }
        let Some(item) = item(request) else { continue };
        if items.len() == window.limit {
            more = true;
            break;
        }
        items.push(item);
        last = number;
    }
    let next = more.then(|| last.to_string());
    answer::json_answer(200, &json!({ "items": items, "next_cursor": next, "has_more": more }))
}

fn history_item(request: &Request, payloads: bool) -> Value {
    let finished = request.finished.as_ref();
    let mut item = json!({
        "request_id": &*request.id,
        "endpoint_id": request.endpoint,
        "sent_at": text(request.posted_at),
        "started_at": request.started_at.map(text),
        "ended_at": request.completed_at.map(text),
        "status_code": finished.map(|finished| finished.status),
        "duration": finished.and_then(|finished| finished.inference),
    });
    if payloads {
        item["json_input"] = serde_json::from_slice(&request.input).unwrap_or_default();
        item["json_output"] =
            finished.and_then(|finished| serde_json::from_slice(&finished.body).ok()).unwrap_or_default();
    }
    item
}

fn billing_item(request: &Request) -> Option<Value> {
    let finished = request.finished.as_ref().filter(|finished| !finished.units.is_zero())?;
    Some(json!({
        "request_id": &*request.id,
        "endpoint_id": request.endpoint,
        "timestamp": request.completed_at.map(text),
        "quantity": finished.units.to_f64(),
        "unit": request.model.unit,
        "unit_price": request.model.price().to_f64(),
        "cost": finished.cost.to_f64(),
        "currency": "USD",
    }))
}

fn status_word(request: &Request) -> &'static str {
    match request.finished.as_ref().map(|finished| finished.kind) {
        Some(OutcomeKind::Ok) => "success",
        Some(OutcomeKind::ModelError | OutcomeKind::Canceled) => "user_error",
        _ => "error",
    }
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A date or a date with time, in UTC unless it says otherwise.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.with_timezone(&Utc));
    }
    let date: NaiveDate = text.parse().ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc())
}
