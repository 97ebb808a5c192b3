//! Webhooks: signed right, tried as fal tries, and broken in every way that the faults promise.

use base64::Engine as _;
use ed25519_dalek::{Signature, VerifyingKey};
use falconer_simulator::{Fault, Faults, RotateMode, SimulatorConfig};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::fixture::{Arrival, Fal, Receiver, quick};

async fn with(fault: Fault) -> Fal {
    Fal::start(SimulatorConfig { faults: Faults::only(fault), ..quick() }).await
}

/// Whether any of the published keys has signed this.
async fn is_signed(fal: &Fal, arrival: &Arrival) -> bool {
    let jwks = fal.get("/.well-known/jwks.json").await.json();
    let digest = hex::encode(Sha256::digest(&arrival.body));
    let line = |name| arrival.header(name).to_owned();
    let message =
        [line("x-fal-webhook-request-id"), line("x-fal-webhook-user-id"), line("x-fal-webhook-timestamp"), digest]
            .join("\n");
    let signature = hex::decode(arrival.header("x-fal-webhook-signature")).unwrap();
    let signature = Signature::from_slice(&signature).unwrap();
    jwks["keys"].as_array().unwrap().iter().any(|key| {
        let bytes = base64::engine::general_purpose::URL_SAFE.decode(key["x"].as_str().unwrap()).unwrap();
        let key = VerifyingKey::from_bytes(&bytes.try_into().unwrap()).unwrap();
        key.verify_strict(message.as_bytes(), &signature).is_ok()
    })
}

fn age(fal: &Fal, arrival: &Arrival) -> i64 {
    let stamp: i64 = arrival.header("x-fal-webhook-timestamp").parse().unwrap();
    fal.sim.requests()[0].completed_at.unwrap().timestamp() - stamp
}

async fn delivered(fal: &Fal, answers: &[u16]) -> Vec<Arrival> {
    let receiver = Receiver::start(answers).await;
    fal.submit("an owl é", Some(&receiver.url)).await;
    fal.until(|view| view.counts.webhooks_delivered == 1).await;
    receiver.arrivals()
}

#[tokio::test]
async fn a_webhook_is_signed_and_carries_the_result() {
    let fal = Fal::start(quick()).await;
    let arrivals = delivered(&fal, &[]).await;
    let hook = &arrivals[0];
    let seen = &fal.sim.requests()[0];
    assert!(is_signed(&fal, hook).await);
    assert_eq!(hook.header("x-fal-webhook-request-id"), seen.request_id);
    assert_eq!(hook.header("x-fal-webhook-user-id"), fal.sim.user_id());
    assert_eq!(hook.header("content-type"), "application/json");
    assert_eq!(hook.json()["payload"], fal.result(&seen.request_id).await.json());
    let text = std::str::from_utf8(&hook.body).unwrap();
    assert!(text.contains(r#", "status": "OK", "payload": {"#), "written as Python does: {text}");
    let payload = text.split_once(r#""payload": "#).unwrap().1.strip_suffix('}').unwrap();
    assert_eq!(Some(hex::encode(Sha256::digest(payload))), seen.payload_sha256);
}

#[tokio::test]
async fn failed_tries_are_repeated_with_a_fresh_stamp_until_a_2xx() {
    let fal = Fal::start(quick()).await;
    let arrivals = delivered(&fal, &[500, 404, 204]).await;
    assert_eq!(arrivals.len(), 3);
    for arrival in &arrivals {
        assert!(is_signed(&fal, arrival).await);
    }
    let tries = fal.sim.requests()[0].webhook_tries.clone();
    assert_eq!(tries.iter().map(|seen| seen.status).collect::<Vec<_>>(), [Some(500), Some(404), Some(204)]);
    assert_eq!(tries.iter().map(|seen| seen.n).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_redirect_ends_the_tries() {
    let fal = Fal::start(quick()).await;
    let receiver = Receiver::start(&[307, 500, 500, 500]).await;
    fal.submit("an owl", Some(&receiver.url)).await;
    fal.until(|view| view.requests[0].webhook_tries.len() == 1).await;
    fal.submit("another", Some(&receiver.url)).await;
    let view = fal.until(|view| view.counts.webhooks_delivered == 1).await;
    let tries: Vec<_> = view.requests.iter().map(|request| request.webhook_tries.len()).collect();
    assert_eq!(tries, [1, 4], "the second had time for three more tries");
}

#[tokio::test]
async fn tries_end_with_their_number_and_with_the_result() {
    let fal = Fal::start(SimulatorConfig { webhook_tries_max: 3, ..quick() }).await;
    let receiver = Receiver::start(&[500; 10]).await;
    for n in 0..2 {
        fal.submit("an owl", Some(&receiver.url)).await;
        fal.until(|view| view.requests[n].webhook_tries.len() == 3).await;
    }
    assert_eq!(fal.sim.requests()[0].webhook_tries.len(), 3, "it had time for a fourth");

    let fal = Fal::start(quick()).await;
    let receiver = Receiver::start(&[500; 40]).await;
    let id = fal.submit("an owl", Some(&receiver.url)).await;
    fal.until(|view| view.requests[0].webhook_tries.len() == 1).await;
    fal.sim.forget(&id).unwrap();
    fal.submit("another", Some(&receiver.url)).await;
    fal.until(|view| view.requests[1].webhook_tries.len() == 6).await;
    assert!(fal.sim.request(&id).unwrap().webhook_tries.len() <= 2);
}

#[tokio::test]
async fn private_targets_are_dropped_when_asked() {
    let fal = Fal::start(SimulatorConfig { drop_private: true, ..quick() }).await;
    let receiver = Receiver::start(&[]).await;
    fal.submit("an owl", Some(&receiver.url)).await;
    let view = fal.until(|view| !view.requests[0].webhook_tries.is_empty()).await;
    assert_eq!(view.requests[0].webhook_tries[0].fault.as_deref(), Some("dropped_private"));
    assert!(receiver.arrivals().is_empty());
}

#[tokio::test]
async fn lost_tries_do_not_arrive() {
    let fal = Fal::start(SimulatorConfig { webhook_tries_max: 4, ..quick() }).await;
    fal.sim.set_faults(Faults::only(Fault::CallbackAllLost));
    let receiver = Receiver::start(&[]).await;
    fal.submit("an owl", Some(&receiver.url)).await;
    let view = fal.until(|view| view.requests[0].webhook_tries.len() == 4).await;
    assert!(view.requests[0].webhook_tries.iter().all(|seen| seen.fault.as_deref() == Some("lost")));
    assert_eq!((receiver.arrivals().len(), view.counts.webhooks_sent), (0, 0));

    let fal = Fal::start(quick()).await;
    fal.sim.set_faults(Faults { callback_try_lost: 0.5, ..Faults::default() });
    for _ in 0..20 {
        fal.submit("an owl", Some(&receiver.url)).await;
    }
    let view = fal.until(|view| view.counts.webhooks_delivered == 20).await;
    let lost = view.requests.iter().flat_map(|request| &request.webhook_tries).filter(|seen| seen.fault.is_some());
    assert!(lost.count() > 4);
}

#[tokio::test]
async fn a_late_webhook_waits() {
    let fal = with(Fault::CallbackLate).await;
    let mut faults = Faults::only(Fault::CallbackLate);
    faults.callback_late_by = std::time::Duration::from_millis(300);
    fal.sim.set_faults(faults);
    let arrivals = delivered(&fal, &[]).await;
    let seen = &fal.sim.requests()[0];
    let waited = seen.webhook_tries[0].tried_at - seen.completed_at.unwrap();
    assert!(waited.num_milliseconds() >= 300, "{waited}");
    assert_eq!(arrivals.len(), 1);
}

#[tokio::test]
async fn a_doubled_webhook_arrives_twice_alike() {
    let fal = with(Fault::CallbackDoubled).await;
    let receiver = Receiver::start(&[]).await;
    fal.submit("an owl", Some(&receiver.url)).await;
    fal.until(|view| view.requests[0].webhook_tries.len() == 2).await;
    let arrivals = receiver.arrivals();
    assert_eq!(arrivals[0].body, arrivals[1].body);
    assert_eq!(arrivals.len(), 2);
}

#[tokio::test]
async fn a_reordered_webhook_lets_another_go_first() {
    let fal = with(Fault::CallbackReordered).await;
    let receiver = Receiver::start(&[]).await;
    let first = fal.submit("an owl", Some(&receiver.url)).await;
    fal.completed(&first).await;
    fal.sim.set_faults(Faults::default());
    let second = fal.submit("another", Some(&receiver.url)).await;
    fal.until(|view| view.counts.webhooks_delivered == 2).await;
    let order: Vec<Value> = receiver.arrivals().iter().map(|hook| hook.json()["request_id"].clone()).collect();
    assert_eq!(order, [second, first]);
}

#[tokio::test]
async fn a_conflicting_webhook_follows_and_is_signed_too() {
    let fal = with(Fault::CallbackConflicting).await;
    let receiver = Receiver::start(&[]).await;
    fal.submit("an owl", Some(&receiver.url)).await;
    fal.until(|view| view.requests[0].webhook_tries.len() == 2).await;
    let arrivals = receiver.arrivals();
    assert!(is_signed(&fal, &arrivals[0]).await && is_signed(&fal, &arrivals[1]).await);
    assert_ne!(arrivals[0].json()["payload"], arrivals[1].json()["payload"]);
    assert_eq!(arrivals[0].json()["request_id"], arrivals[1].json()["request_id"]);
}

#[tokio::test]
async fn a_stale_webhook_is_validly_signed_an_hour_ago() {
    let fal = with(Fault::CallbackStale).await;
    let arrivals = delivered(&fal, &[]).await;
    assert!(is_signed(&fal, &arrivals[0]).await);
    assert!((3_590..3_610).contains(&age(&fal, &arrivals[0])));
}

#[tokio::test]
async fn a_first_try_for_another_user_is_validly_signed_with_a_foreign_payload() {
    let fal = with(Fault::CallbackWrongUser).await;
    let arrivals = delivered(&fal, &[401]).await;
    assert!(is_signed(&fal, &arrivals[0]).await);
    assert_ne!(arrivals[0].header("x-fal-webhook-user-id"), fal.sim.user_id());
    assert_ne!(arrivals[0].json()["payload"], arrivals[1].json()["payload"]);
    assert_eq!(arrivals[1].header("x-fal-webhook-user-id"), fal.sim.user_id());
}

#[tokio::test]
async fn a_tampered_first_try_does_not_verify_and_the_next_does() {
    let fal = with(Fault::CallbackTampered).await;
    let arrivals = delivered(&fal, &[401]).await;
    assert!(!is_signed(&fal, &arrivals[0]).await);
    assert!(is_signed(&fal, &arrivals[1]).await);
}

#[tokio::test]
async fn a_null_payload_leaves_the_result_to_be_fetched() {
    let fal = with(Fault::CallbackNullPayload).await;
    let hook = delivered(&fal, &[]).await[0].json();
    assert_eq!((&hook["status"], &hook["payload"]), (&Value::from("OK"), &Value::Null));
    assert!(hook["payload_error"].is_string());
    assert_eq!(fal.result(hook["request_id"].as_str().unwrap()).await.status, 200);
}

#[tokio::test]
async fn an_oversize_webhook_is_larger_than_8_mb() {
    let fal = with(Fault::CallbackOversize).await;
    assert!(delivered(&fal, &[]).await[0].body.len() > 8 * 1024 * 1024);
}

#[tokio::test]
async fn hostile_payloads_take_turns_and_are_signed() {
    let fal = with(Fault::CallbackHostileJson).await;
    let receiver = Receiver::start(&[]).await;
    for n in 0..8 {
        fal.submit("an owl", Some(&receiver.url)).await;
        fal.until(|view| view.counts.webhooks_delivered == n + 1).await;
    }
    let arrivals = receiver.arrivals();
    let needles: [&[u8]; 8] = [
        br"a\u0000b",
        br"\ud800",
        br#""note": [[[[[[[["#,
        b"1e1000000",
        b"1e131071, 1e131071",
        b"\xff\xfe",
        br#""seed": 1, "seed": 2"#,
        b"36893488147419103232",
    ];
    for (arrival, needle) in arrivals.iter().zip(needles) {
        assert!(is_signed(&fal, arrival).await);
        assert!(arrival.body.windows(needle.len()).any(|window| window == needle), "{:?}", &needle[..4]);
    }
}

#[tokio::test]
async fn keys_rotate_and_the_set_can_go_down_and_lie() {
    let fal = Fal::start(quick()).await;
    let before = delivered(&fal, &[]).await;
    fal.sim.rotate_keys(RotateMode::Both);
    assert!(is_signed(&fal, &before[0]).await);
    fal.sim.rotate_keys(RotateMode::NewOnly);
    assert!(!is_signed(&fal, &before[0]).await);
    fal.sim.jwks_down(true);
    assert_eq!(fal.get("/.well-known/jwks.json").await.status, 503);
    fal.sim.set_jwks(falconer_simulator::JwksMode::Body("<html>".to_owned()));
    assert_eq!(fal.get("/.well-known/jwks.json").await.body, "<html>");
    assert_eq!(fal.sim.counts().jwks_reads, 4);
}

#[tokio::test]
async fn tests_can_forge_and_replay() {
    let fal = Fal::start(quick()).await;
    let receiver = Receiver::start(&[202]).await;
    let headers = fal.sim.sign("some-request", b"{}");
    assert_eq!(fal.sim.post_callback(&receiver.url, &headers, "{}").await.unwrap(), 202);
    assert!(is_signed(&fal, &receiver.arrivals()[0]).await);
}
