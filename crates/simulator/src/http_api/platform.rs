//! The platform API's small calls: prices, source addresses, and the key set (which fal serves from a host of its own).

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{answer, auth};
use crate::catalogue;
use crate::core::Core;
use crate::signer::JwksMode;

/// The most endpoints that one price question may name.
const ENDPOINTS_MOST: usize = 50;

/// `GET /.well-known/jwks.json`.
pub(super) async fn jwks(State(core): State<Arc<Core>>) -> Response {
    let mode = {
        let mut world = core.world();
        world.counts.jwks_reads += 1;
        world.jwks.clone()
    };
    core.touch();
    match mode {
        JwksMode::Up => answer::json_answer(200, &core.signer().jwks()),
        JwksMode::Down => answer::detail(503, "Service unavailable"),
        JwksMode::Body(body) => answer::bytes_answer(200, Bytes::from(body)),
    }
}

/// `GET /v1/meta`, the one call without a key.
pub(super) async fn meta() -> Response {
    answer::json_answer(200, &json!({ "webhook_ip_ranges": ["127.0.0.1/32"] }))
}

/// `GET /v1/models/pricing?endpoint_id=a,b&endpoint_id=c`.
pub(super) async fn pricing(State(core): State<Arc<Core>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    if auth::caller(&core, &headers).is_none() {
        return refusal();
    }
    let query = query.unwrap_or_default();
    let named = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "endpoint_id");
    let ids: Vec<String> = named.flat_map(|(_, ids)| ids.split(',').map(str::to_owned).collect::<Vec<_>>()).collect();
    if ids.is_empty() || ids.len() > ENDPOINTS_MOST {
        return answer::platform_error(400, "validation_error", "endpoint_id must name 1 to 50 endpoints");
    }
    let mut prices: Vec<Value> = Vec::new();
    for id in &ids {
        let Some(model) = catalogue::find(id) else {
            return answer::platform_error(404, "not_found", &format!("No such endpoint: {id}"));
        };
        let price = model.price().to_f64();
        prices.push(json!({ "endpoint_id": id, "unit_price": price, "unit": model.unit, "currency": "USD" }));
    }
    answer::json_answer(200, &json!({ "prices": prices, "next_cursor": null, "has_more": false }))
}

/// Anything else under `/v1`.
pub(super) async fn unknown() -> Response {
    answer::platform_error(404, "not_found", "No such operation")
}

/// The platform API's answer to a bad key.
pub(super) fn refusal() -> Response {
    answer::platform_error(401, "authorization_error", "Invalid key")
}
