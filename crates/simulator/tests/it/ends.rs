//! Faults of the run and of looking at it.

use std::time::Duration;

use falconer_simulator::{Fault, Faults, Outcome, OutcomeKind, Script, SimulatorConfig, TruthEvent};
use serde_json::json;

use crate::fixture::{Fal, Receiver, quick};

async fn with(fault: Fault) -> Fal {
    Fal::start(SimulatorConfig { faults: Faults::only(fault), ..quick() }).await
}

#[tokio::test]
async fn a_model_error_is_completed_replayed_and_free() {
    let fal = with(Fault::Result422).await;
    let receiver = Receiver::start(&[]).await;
    let id = fal.submit("an owl", Some(&receiver.url)).await;
    fal.until(|view| view.counts.webhooks_delivered == 1).await;
    let (status, result) = (fal.status(&id).await, fal.result(&id).await);
    assert_eq!((status.status, &status.json()["status"]), (200, &json!("COMPLETED")));
    assert_eq!((result.status, result.header("x-fal-billable-units")), (422, "0"));
    assert!(result.json()["detail"][0]["type"].is_string());
    let hook = receiver.arrivals()[0].json();
    assert_eq!((&hook["status"], &hook["error"]), (&json!("ERROR"), &json!("Invalid status code: 422")));
    assert_eq!(hook["payload"], result.json());
    assert_eq!(fal.sim.request(&id).unwrap().cost, None);
}

#[tokio::test]
async fn a_runner_error_shows_in_status_result_and_webhook() {
    let fal = with(Fault::Result5xxRunner).await;
    let receiver = Receiver::start(&[]).await;
    let id = fal.submit("an owl", Some(&receiver.url)).await;
    fal.until(|view| view.counts.webhooks_delivered == 1).await;
    let (status, result) = (fal.status(&id).await.json(), fal.result(&id).await);
    assert!((500..=504).contains(&result.status));
    assert_eq!(status["error_type"], result.json()["error_type"]);
    assert_eq!(result.header("x-fal-error-type"), status["error_type"].as_str().unwrap());
    assert_eq!(receiver.arrivals()[0].json()["payload"], result.json());
    assert_eq!(fal.sim.request(&id).unwrap().outcome, Some(OutcomeKind::RunnerError));
}

#[tokio::test]
async fn scripted_outcomes_are_exact() {
    let fal = Fal::start(quick()).await;
    for (outcome, status, text) in [
        (Outcome::ModelError("no_media_generated".to_owned()), 422, "no_media_generated"),
        (Outcome::RunnerError("runner_disconnected".to_owned()), 503, "runner_disconnected"),
        (Outcome::Answer { status: 418, body: r#"{"detail":"teapot"}"#.to_owned() }, 418, "teapot"),
    ] {
        fal.sim.script_next(Script { outcome: Some(outcome), ..Script::default() });
        let id = fal.submit("an owl", None).await;
        fal.completed(&id).await;
        let result = fal.result(&id).await;
        assert_eq!(result.status, status);
        assert!(String::from_utf8_lossy(&result.body).contains(text));
    }
}

#[tokio::test]
async fn a_result_can_be_gone_as_soon_as_it_is_there() {
    let fal = with(Fault::CompletedGone).await;
    let receiver = Receiver::start(&[]).await;
    let id = fal.submit("an owl", Some(&receiver.url)).await;
    fal.completed(&id).await;
    assert_eq!(fal.status(&id).await.json()["status"], "COMPLETED");
    assert_eq!(fal.result(&id).await.status, 404);
    assert!(fal.sim.request(&id).unwrap().cost.is_some(), "it was charged all the same");
    assert!(receiver.arrivals().is_empty());
}

#[tokio::test]
async fn looks_can_fail_and_a_fresh_request_can_be_invisible() {
    let fal = with(Fault::Status5xx).await;
    let id = fal.submit("an owl", None).await;
    let status = fal.status(&id).await;
    assert!((500..=503).contains(&status.status));
    assert_eq!(status.header("x-fal-request-id"), id);

    let mut faults = Faults::only(Fault::Status404Grace);
    faults.status_404_grace_for = Duration::from_secs(1);
    let fal = Fal::start(SimulatorConfig { faults, ..quick() }).await;
    let id = fal.submit("an owl", None).await;
    assert_eq!(fal.status(&id).await.status, 404);
    while fal.status(&id).await.status == 404 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fal.status(&id).await.status, 200);
}

#[tokio::test]
async fn an_inner_retry_goes_back_to_the_queue_under_a_new_gateway_id() {
    let fal = with(Fault::RunnerRetried).await;
    let receiver = Receiver::start(&[]).await;
    let id = fal.submit("an owl", Some(&receiver.url)).await;
    fal.until(|view| view.counts.webhooks_delivered == 1).await;
    let hook = receiver.arrivals()[0].json();
    assert_eq!(hook["request_id"], id);
    assert_ne!(hook["gateway_request_id"], id);
    let starts = fal.sim.truth().iter().filter(|entry| matches!(entry.event, TruthEvent::Started { .. })).count();
    assert_eq!(starts, 2);
}

#[tokio::test]
async fn the_truth_log_repeats_what_is_in_memory() {
    let path = std::env::temp_dir().join(format!("truth-{}.jsonl", uuid::Uuid::new_v4()));
    let fal = Fal::start(SimulatorConfig { truth_log: Some(path.clone()), ..quick() }).await;
    let receiver = Receiver::start(&[500]).await;
    fal.submit("an owl", Some(&receiver.url)).await;
    fal.until(|view| view.counts.webhooks_delivered == 1).await;
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let logged: Vec<falconer_simulator::TruthEntry> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(logged, fal.sim.truth());
    assert_eq!(logged.len(), 5, "accepted, started, completed, two tries: {text}");
}
