//! The compatibility checklist of the queue API.

use std::time::Duration;

use falconer_simulator::{Fault, Faults, Outcome, OutcomeKind, Script, SimulatorConfig, ValidationMode};
use serde_json::{Value, json};

use crate::fixture::{APP, Fal, MODEL, quick};

const KEY: (&str, &str) = ("authorization", "Key id:secret");

fn held() -> Script {
    Script { hold: true, ..Script::default() }
}

#[tokio::test]
async fn a_submit_is_answered_with_absolute_urls_of_the_app() {
    let fal = Fal::start(quick()).await;
    let answer = fal.post("an owl", None).await.unwrap();
    let body = answer.json();
    let id = body["request_id"].as_str().unwrap();
    assert_eq!((answer.status, &body["status"]), (200, &json!("IN_QUEUE")));
    assert_eq!(body["gateway_request_id"], id);
    assert_eq!(body["response_url"], format!("{}/{APP}/requests/{id}", fal.sim.url()));
    assert_eq!(body["status_url"], format!("{}/{APP}/requests/{id}/status", fal.sim.url()));
    assert_eq!(body["cancel_url"], format!("{}/{APP}/requests/{id}/cancel", fal.sim.url()));
    assert_eq!(body["queue_position"], 0);
    assert_eq!((answer.header("x-fal-request-id"), answer.header("content-type")), (id, "application/json"));
}

#[tokio::test]
async fn a_status_has_the_keys_that_each_state_requires() {
    let fal = Fal::start(SimulatorConfig { slots: 1, ..quick() }).await;
    fal.sim.script_next(held());
    let running = fal.submit("first", None).await;
    let waiting = fal.submit("second", None).await;
    let (one, two) = (fal.status(&running).await, fal.status(&waiting).await);
    assert_eq!((one.status, &one.json()["status"]), (202, &json!("IN_PROGRESS")));
    assert_eq!((two.status, &two.json()["status"]), (202, &json!("IN_QUEUE")));
    assert_eq!(one.json().get("logs"), Some(&Value::Null));
    assert_eq!(two.json()["queue_position"], 0);
    fal.sim.release_held();
    fal.completed(&waiting).await;
    let done = fal.status(&waiting).await;
    assert_eq!((done.status, &done.json()["status"]), (200, &json!("COMPLETED")));
    assert_eq!(done.json().get("logs"), Some(&Value::Null));
    assert!(done.json()["metrics"]["inference_time"].is_f64());
    for answer in [one, two, done] {
        for key in ["request_id", "response_url", "status_url", "cancel_url"] {
            assert!(answer.json()[key].is_string(), "{key}");
        }
    }
}

#[tokio::test]
async fn every_spelling_of_a_path_finds_the_request() {
    let fal = Fal::start(quick()).await;
    let id = fal.submit("an owl", None).await;
    fal.completed(&id).await;
    for app in [APP, MODEL] {
        for tail in ["", "/", "/response", "/status", "/status/", "/status?logs=true", "/status?logs=0"] {
            let answer = fal.get(&format!("/{app}/requests/{id}{tail}")).await;
            assert_eq!((answer.status, answer.header("x-fal-request-id")), (200, id.as_str()), "{app} {tail}");
        }
    }
    assert_eq!(fal.get(&format!("/fal-ai/other/requests/{id}")).await.status, 404);
}

#[tokio::test]
async fn namespaced_apps_keep_three_segments() {
    let fal = Fal::start(quick()).await;
    let answer = fal.call("POST", "/workflows/someone/thing/deep", r#"{"x": 1}"#).await.unwrap();
    let url = answer.json()["status_url"].as_str().unwrap().to_owned();
    assert!(url.contains("/workflows/someone/thing/requests/"), "{url}");
    assert!([200, 202].contains(&fal.get(&url).await.status));
}

#[tokio::test]
async fn log_lines_have_all_their_fields() {
    let fal = Fal::start(quick()).await;
    let id = fal.submit("an owl", None).await;
    fal.completed(&id).await;
    let logs = fal.get(&format!("/{APP}/requests/{id}/status?logs=1")).await.json()["logs"].clone();
    for line in logs.as_array().unwrap() {
        for key in ["message", "level", "source", "timestamp"] {
            assert!(line[key].is_string(), "{key}");
        }
    }
    assert!(!logs.as_array().unwrap().is_empty());
}

#[tokio::test]
async fn the_stream_tells_each_state_once_and_ends() {
    let fal = Fal::start(quick()).await;
    fal.sim.script_next(held());
    let id = fal.submit("an owl", None).await;
    let path = format!("/{APP}/requests/{id}/status/stream?logs=1");
    let (stream, ()) = tokio::join!(fal.get(&path), async {
        fal.until(|view| view.counts.looks == 1).await;
        fal.sim.release_held();
    });
    assert_eq!(stream.header("content-type"), "text/event-stream");
    let text = String::from_utf8(stream.body.to_vec()).unwrap();
    let events: Vec<Value> = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let states: Vec<&str> = events.iter().map(|event| event["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["IN_PROGRESS", "COMPLETED"]);
    assert_eq!(events[1]["logs"].as_array().unwrap().len(), 1, "only what is new since the event before");
}

#[tokio::test]
async fn bad_callers_are_refused_before_anything_is_made() {
    let fal = Fal::start(SimulatorConfig { keys: vec!["good:key".to_owned()], ..quick() }).await;
    let path = format!("/{MODEL}");
    let good = ("authorization", "Key good:key");
    for (headers, path, body, status) in [
        (&[][..], &*path, r#"{"prompt":"x"}"#, 401),
        (&[KEY], &path, r#"{"prompt":"x"}"#, 401),
        (&[("authorization", "Bearer good:key")], &path, r#"{"prompt":"x"}"#, 401),
        (&[good], "/unknown/model", r#"{"prompt":"x"}"#, 404),
        (&[good], &path, "{}", 422),
        (&[good], &path, "not json", 422),
        (&[good, ("x-fal-request-timeout", "soon")], &path, r#"{"prompt":"x"}"#, 400),
        (&[good, ("x-fal-request-timeout", "0.1")], &path, r#"{"prompt":"x"}"#, 400),
    ] {
        let answer = fal.call_with("POST", path, body, headers).await.unwrap();
        assert_eq!(answer.status, status, "{path} {body} {headers:?}");
        assert!(!answer.header("x-fal-request-id").is_empty());
        assert!(!answer.json()["detail"].is_null());
    }
    assert_eq!(fal.sim.submissions(), 0);
}

#[tokio::test]
async fn a_missing_field_can_be_left_for_the_model_to_notice() {
    let fal = Fal::start(SimulatorConfig { validation: ValidationMode::AtRun, ..quick() }).await;
    let id = fal.call("POST", &format!("/{MODEL}"), "{}").await.unwrap().json()["request_id"].clone();
    let id = id.as_str().unwrap();
    fal.completed(id).await;
    let result = fal.result(id).await;
    assert_eq!((result.status, &result.json()["detail"][0]["type"]), (422, &json!("missing")));
    assert_eq!(result.header("x-fal-billable-units"), "0");
}

#[tokio::test]
async fn a_result_replays_the_model_and_says_what_it_cost() {
    let fal = Fal::start(quick()).await;
    fal.sim.script_next(held());
    let id = fal.submit("an owl", None).await;
    assert_eq!(fal.result(&id).await.status, 400);
    fal.sim.release_held();
    fal.completed(&id).await;
    let result = fal.result(&id).await;
    assert_eq!((result.status, result.header("x-fal-billable-units")), (200, "1"));
    let body = result.json();
    assert!(body["seed"].is_u64());
    let picture = fal.get(body["images"][0]["url"].as_str().unwrap()).await;
    assert_eq!((picture.header("content-type"), &picture.body[1..4]), ("image/png", &b"PNG"[..]));
    assert_eq!(picture.body.len(), usize::try_from(body["images"][0]["file_size"].as_u64().unwrap()).unwrap());
}

#[tokio::test]
async fn a_waiting_request_is_cancelled_at_once_a_running_one_soon_a_finished_one_never() {
    let fal = Fal::start(SimulatorConfig { slots: 1, ..quick() }).await;
    fal.sim.script_next(held());
    let running = fal.submit("first", None).await;
    let waiting = fal.submit("second", None).await;
    for (id, status, word) in
        [(&waiting, 200, "OK"), (&running, 202, "CANCELLATION_REQUESTED"), (&running, 400, "ALREADY_COMPLETED")]
    {
        let answer = fal.cancel(id).await;
        assert_eq!((answer.status, &answer.json()["status"]), (status, &json!(word)));
    }
    let answer = fal.cancel("00000000-0000-4000-8000-000000000000").await;
    assert_eq!((answer.status, answer.json()), (404, json!({"status": "NOT_FOUND"})));
    for id in [&waiting, &running] {
        let (status, result) = (fal.status(id).await.json(), fal.result(id).await);
        assert_eq!((&status["status"], &status["error_type"]), (&json!("COMPLETED"), &json!("client_cancelled")));
        assert_eq!((result.status, &result.json()["error_type"]), (499, &json!("client_cancelled")));
        let seen = fal.sim.request(id).unwrap();
        assert_eq!((seen.outcome, seen.canceled, seen.cost), (Some(OutcomeKind::Canceled), true, None));
    }
}

#[tokio::test]
async fn a_runner_may_ignore_a_cancel() {
    let fal = Fal::start(quick()).await;
    let faults = Some(Faults::only(Fault::CancelIgnored));
    fal.sim.script_next(Script { hold: true, faults, ..Script::default() });
    let id = fal.submit("an owl", None).await;
    assert_eq!(fal.cancel(&id).await.status, 202);
    fal.sim.release_held();
    fal.completed(&id).await;
    assert_eq!(fal.result(&id).await.status, 200);
}

#[tokio::test]
async fn the_start_deadline_ends_what_still_waits_and_the_newer_header_wins() {
    let fal = Fal::start(SimulatorConfig { slots: 1, ..quick() }).await;
    fal.sim.script_next(held());
    fal.submit("first", None).await;
    let headers = [KEY, ("x-fal-request-start-timeout", "0.15"), ("x-fal-request-timeout", "3600")];
    let answer = fal.call_with("POST", &format!("/{MODEL}"), r#"{"prompt":"x"}"#, &headers).await.unwrap();
    let id = answer.json()["request_id"].as_str().unwrap().to_owned();
    fal.completed(&id).await;
    let (status, result) = (fal.status(&id).await.json(), fal.result(&id).await);
    assert_eq!(status["error_type"], "request_timeout");
    assert_eq!((result.status, &result.json()["error_type"]), (504, &json!("request_timeout")));
    assert_eq!(result.header("x-fal-request-timeout-type"), "user");
    assert_eq!(result.header("x-fal-error-type"), "request_timeout");
}

#[tokio::test]
async fn a_result_is_kept_shorter_when_it_is_large_and_not_at_all_when_forgotten() {
    let config = SimulatorConfig {
        time_scale: 1_000.0,
        retention_large: Duration::from_secs(100),
        retention_small: Duration::from_hours(100),
        ..quick()
    };
    let fal = Fal::start(config).await;
    let answer = |length: usize| Script {
        outcome: Some(Outcome::Answer { status: 200, body: format!("\"{}\"", "-".repeat(length - 2)) }),
        ..Script::default()
    };
    fal.sim.script_next(answer(9_999));
    fal.sim.script_next(answer(10_000));
    let (small, large) = (fal.submit("small", None).await, fal.submit("large", None).await);
    for id in [&small, &large] {
        fal.completed(id).await;
    }
    // A hundred simulated seconds are a tenth of a real one.
    while fal.result(&large).await.status == 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fal.result(&large).await.status, 404);
    assert_eq!(fal.status(&large).await.json()["status"], "COMPLETED");
    assert_eq!(fal.result(&small).await.status, 200);
    fal.sim.forget(&small).unwrap();
    assert_eq!(fal.result(&small).await.status, 404);
    assert!(fal.sim.forget("nobody").is_err());
}

#[tokio::test]
async fn the_synchronous_path_answers_with_the_output_or_with_429() {
    let fal = Fal::start(SimulatorConfig { slots: 1, ..quick() }).await;
    let path = format!("/run/{MODEL}");
    let answer = fal.call("POST", &path, r#"{"prompt":"x"}"#).await.unwrap();
    assert_eq!((answer.status, &answer.json()["prompt"]), (200, &json!("x")));
    fal.sim.script_next(held());
    fal.submit("first", None).await;
    let answer = fal.call("POST", &path, r#"{"prompt":"x"}"#).await.unwrap();
    assert_eq!((answer.status, answer.header("x-fal-needs-retry")), (429, "1"));
}
