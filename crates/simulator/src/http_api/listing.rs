//! The platform API's listings of past requests: history and billing events, newest end first, with their lag.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use http::HeaderMap;
use rust_decimal::prelude::ToPrimitive as _;
use serde::{Deserialize, Serialize};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

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

/// One page.
#[derive(Debug, Serialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
    has_more: bool,
}

/// One past request. Its bodies are passed on as they are, since a list of many is asked for often.
#[derive(Debug, Serialize)]
struct HistoryItem<'a> {
    request_id: &'a str,
    endpoint_id: &'a str,
    sent_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    status_code: Option<u16>,
    duration: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_input: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_output: Option<&'a RawValue>,
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
    let account = match open(&core, &headers, core.config.history) {
        Ok(account) => account,
        Err(refusal) => return *refusal,
    };
    let Some(endpoint) = &ask.endpoint_id else {
        return answer::platform_error(400, "validation_error", "endpoint_id is required");
    };
    let window = match window(&core, &ask, core.config.history_lag, 100) {
        Ok(window) => window,
        Err(refusal) => return *refusal,
    };
    core.world().counts.history_pages += 1;
    let payloads = ask.expand.as_deref().is_some_and(|expand| expand.split(',').any(|part| part == "payloads"));
    list(&core, account, &window, |request| {
        let named = endpoint.split(',').any(|id| id == request.endpoint);
        let wanted = ask.request_id.as_deref().is_none_or(|id| id == &*request.id)
            && ask.status.as_deref().is_none_or(|status| status == status_word(request));
        (named && wanted).then(|| to_raw_value(&history_item(request, payloads)).ok()).flatten()
    })
}

/// `GET /v1/models/billing-events`: what was charged.
pub(super) async fn billing_events(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    Query(ask): Query<Ask>,
) -> Response {
    let account = match open(&core, &headers, core.config.billing) {
        Ok(account) => account,
        Err(refusal) => return *refusal,
    };
    let window = match window(&core, &ask, core.config.billing_lag, 10_000) {
        Ok(window) => window,
        Err(refusal) => return *refusal,
    };
    list(&core, account, &window, |request| {
        let wanted = ask.endpoint_id.as_deref().is_none_or(|id| id == request.endpoint)
            && ask.request_id.as_deref().is_none_or(|id| id == &*request.id);
        if wanted { to_raw_value(&billing_item(request)?).ok() } else { None }
    })
}

/// Whose list is asked for, where there is one.
fn open(core: &Core, headers: &HeaderMap, mode: HistoryMode) -> Result<usize, Box<Response>> {
    let caller = auth::caller(core, headers).ok_or_else(|| Box::new(refusal()))?;
    let refused = |status, kind, text| Err(Box::new(answer::platform_error(status, kind, text)));
    match mode {
        HistoryMode::On => Ok(caller.account),
        HistoryMode::Off => refused(404, "not_found", "No such operation"),
        HistoryMode::Refused => refused(403, "authorization_error", "The key lacks the scope"),
        HistoryMode::Down => refused(503, "service_unavailable", "Try again later"),
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
fn list(core: &Core, account: usize, window: &Window, item: impl Fn(&Request) -> Option<Box<RawValue>>) -> Response {
    let world = core.world();
    let mut items = Vec::new();
    let mut last = 0;
    let mut more = false;
    for (number, index) in world.ended.iter().enumerate().take(window.below).rev() {
        let request = &world.requests[*index];
        if request.account != account {
            continue;
        }
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
    let page = Page { items, next_cursor: more.then(|| last.to_string()), has_more: more };
    let body = serde_json::to_vec(&page).expect("a page is made of strings and numbers");
    answer::bytes_answer(200, body.into())
}

fn history_item(request: &Request, payloads: bool) -> HistoryItem<'_> {
    let finished = request.finished.as_ref();
    let raw = |body| serde_json::from_slice::<&RawValue>(body).ok().filter(|_| payloads);
    HistoryItem {
        request_id: &request.id,
        endpoint_id: &request.endpoint,
        sent_at: text(request.posted_at),
        started_at: request.started_at.map(text),
        ended_at: request.completed_at.map(text),
        status_code: finished.map(|finished| finished.status),
        duration: finished.and_then(|finished| finished.inference),
        json_input: raw(&request.input),
        json_output: finished.and_then(|finished| raw(&finished.body)),
    }
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
