//! Faults of the submit: refusals, and answers that never come although the request exists.

use std::time::Duration;

use falconer_simulator::{Fault, Faults, Script, SimulatorConfig, TruthEvent};

use crate::fixture::{Fal, Receiver, quick};

async fn with(fault: Fault) -> Fal {
    Fal::start(SimulatorConfig { faults: Faults::only(fault), ..quick() }).await
}

#[tokio::test]
async fn refusals_make_nothing() {
    for (fault, status) in
        [(Fault::Submit401, 401), (Fault::Submit403, 403), (Fault::Submit429, 429), (Fault::Submit5xx, 503)]
    {
        let fal = with(fault).await;
        let answer = fal.post("an owl", None).await.unwrap();
        assert_eq!((answer.status, fal.sim.submissions()), (status, 0), "{fault}");
        assert!(!answer.header("x-fal-request-id").is_empty(), "{fault}");
        assert_eq!(answer.header("retry-after") == "1", status == 429, "{fault}");
        assert_eq!(fal.sim.truth()[0].event, TruthEvent::Refused { status });
    }
}

#[tokio::test]
async fn a_reset_after_acceptance_leaves_a_request_behind() {
    let fal = with(Fault::AcceptThenReset).await;
    assert!(fal.post("an owl", None).await.is_err_and(|error| !error.is_timeout()));
    let view = fal.until(|view| view.counts.completed == 1).await;
    assert_eq!(view.requests[0].faults, [Fault::AcceptThenReset]);
}

#[tokio::test]
async fn a_bad_gateway_after_acceptance_does_not_look_like_fal() {
    let fal = with(Fault::AcceptThen502).await;
    let answer = fal.post("an owl", None).await.unwrap();
    assert_eq!((answer.status, answer.header("x-fal-request-id"), fal.sim.submissions()), (502, "", 1));
    assert!(String::from_utf8_lossy(&answer.body).contains("nginx"));
}

#[tokio::test]
async fn a_hung_submit_is_accepted_half_of_the_time() {
    let mut faults = Faults::only(Fault::SubmitHang);
    faults.submit_hang_for = Duration::from_millis(1);
    let fal = Fal::start(SimulatorConfig { faults, ..quick() }).await;
    for _ in 0..40 {
        assert!(fal.post("an owl", None).await.is_err());
    }
    assert!((10..=30).contains(&fal.sim.submissions()), "{}", fal.sim.submissions());
}

#[tokio::test]
async fn a_slow_answer_comes_after_the_request_has_started() {
    let mut faults = Faults::only(Fault::SubmitSlow);
    faults.submit_slow_by = Duration::from_millis(200);
    let fal = Fal::start(SimulatorConfig { faults, ..quick() }).await;
    let id = fal.submit("an owl", None).await;
    assert!(fal.sim.request(&id).unwrap().completed_at.is_some());
}

#[tokio::test]
async fn a_webhook_can_come_before_the_answer() {
    let fal = with(Fault::CallbackBeforeAnswer).await;
    let receiver = Receiver::start(&[]).await;
    let id = fal.submit("an owl", Some(&receiver.url)).await;
    assert_eq!(receiver.arrivals()[0].json()["request_id"], id, "it was there when the answer came");
}

#[tokio::test]
async fn the_same_seed_chooses_the_same_faults() {
    let chosen = async |seed| {
        let faults = Faults { callback_late: 0.5, submit_5xx: 0.3, result_422: 0.4, ..Faults::default() };
        let fal = Fal::start(SimulatorConfig { seed, faults, ..quick() }).await;
        for _ in 0..30 {
            fal.post("an owl", None).await.unwrap();
        }
        fal.sim.requests().into_iter().map(|request| (request.ordinal, request.faults)).collect::<Vec<_>>()
    };
    let first = chosen(7).await;
    assert_eq!(first, chosen(7).await);
    assert_ne!(first, chosen(8).await);
}

#[tokio::test]
async fn a_script_forces_a_fault_on_one_request_and_shields_it_from_others() {
    let fal = with(Fault::Submit5xx).await;
    fal.sim.script_prompt("calm", Script { faults: Some(Faults::default()), ..Script::default() });
    assert_eq!(fal.post("a calm owl", None).await.unwrap().status, 200);
    assert_eq!(fal.post("an owl", None).await.unwrap().status, 503);
    fal.sim.set_faults(Faults::default());
    fal.sim.script_next(Script { faults: Some(Faults::only(Fault::Submit429)), ..Script::default() });
    assert_eq!(fal.post("an owl", None).await.unwrap().status, 429);
    assert_eq!(fal.post("an owl", None).await.unwrap().status, 200);
}
