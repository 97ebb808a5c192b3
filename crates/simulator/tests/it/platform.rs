//! The platform API and the controls over HTTP.

use std::time::Duration;

use falconer_simulator::{HistoryMode, SimulatorConfig};
use serde_json::{Value, json};

use crate::fixture::{Fal, MODEL, quick};

const HISTORY: &str = "/v1/models/requests/by-endpoint?endpoint_id=fal-ai/flux/dev";

#[tokio::test]
async fn prices_are_listed_and_unknown_models_are_not() {
    let fal = Fal::start(quick()).await;
    let path = "/v1/models/pricing?endpoint_id=fal-ai/flux/dev,fal-ai/flux/schnell&endpoint_id=fal-ai/flux-pro/v1.1";
    let body = fal.get(path).await.json();
    let prices: Vec<f64> =
        body["prices"].as_array().unwrap().iter().map(|p| p["unit_price"].as_f64().unwrap()).collect();
    assert_eq!((prices.as_slice(), &body["has_more"]), ([0.025, 0.003, 0.04].as_slice(), &json!(false)));
    let unknown = fal.get("/v1/models/pricing?endpoint_id=unknown/model").await;
    assert_eq!((unknown.status, &unknown.json()["error"]["type"]), (404, &json!("not_found")));
    assert_eq!(fal.get("/v1/models/pricing").await.status, 400);
    let keyless = fal.call_with("GET", path, "", &[]).await.unwrap();
    assert_eq!((keyless.status, &keyless.json()["error"]["type"]), (401, &json!("authorization_error")));
    assert_eq!(fal.call_with("GET", "/v1/meta", "", &[]).await.unwrap().status, 200);
}

#[tokio::test]
async fn history_lists_ended_requests_newest_first_in_pages() {
    let fal = Fal::start(quick()).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let id = fal.submit(&format!("prompt {n}"), None).await;
        fal.completed(&id).await;
        ids.insert(0, id);
    }
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = fal.get(&format!("{HISTORY}&limit=2&expand=payloads{cursor}")).await.json();
        listed.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        assert_eq!(page["has_more"], true);
        cursor = format!("&cursor={next}");
    }
    let listed_ids: Vec<&str> = listed.iter().map(|item| item["request_id"].as_str().unwrap()).collect();
    assert_eq!(listed_ids, ids);
    assert_eq!(listed[4]["json_input"], json!({"prompt": "prompt 0"}));
    assert_eq!((&listed[4]["status_code"], &listed[4]["endpoint_id"]), (&json!(200), &json!(MODEL)));
    let none = fal.get(&format!("{HISTORY}&end=2001-01-01T00:00:00Z")).await.json();
    assert_eq!(none["items"], json!([]));
    let one = fal.get(&format!("{HISTORY}&request_id={}&status=success", ids[1])).await.json();
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    assert_eq!(fal.get(&format!("{HISTORY}&limit=101")).await.status, 400);
}

#[tokio::test]
async fn listings_lag_close_and_refuse() {
    let config = SimulatorConfig { history_lag: Duration::from_hours(1), billing: HistoryMode::Refused, ..quick() };
    let fal = Fal::start(config).await;
    let id = fal.submit("an owl", None).await;
    fal.completed(&id).await;
    assert_eq!(fal.get(HISTORY).await.json()["items"], json!([]));
    assert_eq!(fal.get("/v1/models/billing-events").await.status, 403);

    let fal = Fal::start(SimulatorConfig { history: HistoryMode::Off, ..quick() }).await;
    assert_eq!(fal.get(HISTORY).await.status, 404);
}

#[tokio::test]
async fn billing_events_tell_what_was_charged_and_nothing_else() {
    let fal = Fal::start(quick()).await;
    let id = fal.submit("an owl", None).await;
    fal.completed(&id).await;
    fal.sim.set_faults(falconer_simulator::Faults::only(falconer_simulator::Fault::Result422));
    let free = fal.submit("an owl", None).await;
    fal.completed(&free).await;
    let body = fal.get("/v1/models/billing-events").await.json();
    let items = body["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    let mut item = items[0].clone();
    assert!(item["timestamp"].is_string());
    item["timestamp"] = Value::Null;
    let expected = json!({
        "request_id": id, "endpoint_id": MODEL, "timestamp": null, "quantity": 1.0,
        "unit": "megapixels", "unit_price": 0.025, "cost": 0.025, "currency": "USD",
    });
    assert_eq!(item, expected);
}

#[tokio::test]
async fn the_controls_work_over_http() {
    let fal = Fal::start(SimulatorConfig { slots: 1, ..quick() }).await;
    let put = async |method: &str, path: &str, body: Value| {
        let headers = [("content-type", "application/json")];
        fal.call_with(method, path, &body.to_string(), &headers).await.unwrap().status
    };
    assert_eq!(put("PUT", "/_sim/faults", json!({"submit_429": 1.0})).await, 200);
    assert_eq!(fal.post("an owl", None).await.unwrap().status, 429);
    assert_eq!(put("PUT", "/_sim/faults", json!({"submit_429": 7.0})).await, 400);
    assert_eq!(put("PUT", "/_sim/faults", json!({})).await, 200);
    assert_eq!(put("POST", "/_sim/script/prompt", json!({"contains": "owl", "script": {"hold": true}})).await, 200);
    let id = fal.submit("an owl", None).await;
    let state = fal.get("/_sim/state").await.json();
    assert_eq!((&state["counts"]["in_progress"], &state["occupancy"]["busy"]), (&json!(1), &json!(1)));
    assert_eq!(put("POST", "/_sim/release", json!({})).await, 200);
    fal.completed(&id).await;
    assert_eq!(put("POST", &format!("/_sim/forget/{id}"), json!({})).await, 200);
    assert_eq!(fal.result(&id).await.status, 404);
    assert_eq!(put("POST", "/_sim/jwks", json!({"down": true})).await, 200);
    assert_eq!(fal.get("/.well-known/jwks.json").await.status, 503);
    assert_eq!(put("POST", "/_sim/rotate", json!({"mode": "new_only"})).await, 200);
    let requests = fal.get("/_sim/requests").await.json();
    assert_eq!((&requests[0]["request_id"], &requests[0]["outcome"]), (&json!(id), &json!("ok")));
    let truth = fal.get("/_sim/truth").await.json();
    assert!(truth.as_array().unwrap().iter().any(|entry| entry["event"] == "forgotten"));
}
