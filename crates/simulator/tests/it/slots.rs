//! The account's limit: really kept, first come first served.

use std::time::Duration;

use falconer_simulator::{RequestState, Script, SimulatorConfig, TruthEvent};

use crate::fixture::{Fal, MODEL, quick};

#[tokio::test]
async fn never_more_run_than_there_are_slots_and_none_idles_while_one_waits() {
    let fal = Fal::start(SimulatorConfig { slots: 3, ..quick() }).await;
    for n in 0..30 {
        fal.submit(&format!("prompt {n}"), None).await;
    }
    fal.until(|view| view.counts.completed == 30).await;
    let mut running = 0_i32;
    let mut most = 0;
    let mut order = Vec::new();
    for entry in fal.sim.truth() {
        match entry.event {
            TruthEvent::Started { .. } => {
                running += 1;
                order.push(entry.request_id.unwrap());
            }
            TruthEvent::Completed { .. } => running -= 1,
            _ => {}
        }
        most = most.max(running);
    }
    assert_eq!(most, 3);
    let submitted: Vec<String> = fal.sim.requests().into_iter().map(|request| request.request_id).collect();
    assert_eq!(order, submitted, "the queue is first in, first out");
    let used = fal.sim.occupancy();
    assert_eq!((used.busy, used.busy_most, used.per_slot_busy_seconds.len()), (0, 3, 3));
    assert!(used.busy_slot_seconds >= 30.0 * 0.02);
    assert!((used.wanted_slot_seconds - used.busy_slot_seconds).abs() < 1e-6, "{used:?}");
}

#[tokio::test]
async fn positions_count_those_ahead_and_low_priority_waits_behind() {
    let fal = Fal::start(SimulatorConfig { slots: 1, ..quick() }).await;
    fal.sim.script_next(Script { hold: true, ..Script::default() });
    fal.submit("running", None).await;
    let low = [("authorization", "Key id:secret"), ("x-fal-queue-priority", "low")];
    let low = fal.call_with("POST", &format!("/{MODEL}"), r#"{"prompt":"low"}"#, &low).await.unwrap();
    let low = low.json()["request_id"].as_str().unwrap().to_owned();
    let first = fal.submit("first", None).await;
    let second = fal.submit("second", None).await;
    let position = async |id: &str| fal.status(id).await.json()["queue_position"].as_u64().unwrap();
    assert_eq!((position(&first).await, position(&second).await, position(&low).await), (0, 1, 2));
    fal.cancel(&first).await;
    assert_eq!((position(&second).await, position(&low).await), (0, 1));
    fal.sim.release_held();
    fal.completed(&low).await;
    let started = |id: &str| fal.sim.request(id).unwrap().started_at.unwrap();
    assert!(started(&second) < started(&low));
}

#[tokio::test]
async fn a_caller_can_refuse_a_long_queue() {
    let fal = Fal::start(SimulatorConfig { slots: 1, ..quick() }).await;
    fal.sim.script_prompt("", Script { hold: true, ..Script::default() });
    for _ in 0..3 {
        fal.submit("x", None).await;
    }
    let post = async |most: u32| {
        let path = format!("/{MODEL}?fal_max_queue_length={most}");
        fal.call("POST", &path, r#"{"prompt":"x"}"#).await.unwrap().status
    };
    assert_eq!(post(1).await, 429);
    assert_eq!(post(2).await, 200);
}

#[tokio::test]
async fn a_larger_limit_starts_what_waits() {
    let fal = Fal::start(SimulatorConfig { slots: 1, ..quick() }).await;
    fal.sim.script_prompt("", Script { hold: true, ..Script::default() });
    for _ in 0..3 {
        fal.submit("x", None).await;
    }
    assert_eq!(fal.sim.counts().in_progress, 1);
    fal.sim.set_slots(2);
    assert_eq!((fal.sim.counts().in_progress, fal.sim.counts().in_queue), (2, 1));
}

#[tokio::test]
async fn time_runs_as_fast_as_it_is_scaled() {
    let fal = Fal::start(SimulatorConfig { time_scale: 1_000.0, ..quick() }).await;
    fal.sim.script_next(Script { run_time: Some(Duration::from_mins(1)), ..Script::default() });
    let id = fal.submit("slow", None).await;
    fal.completed(&id).await;
    let seen = fal.sim.request(&id).unwrap();
    assert_eq!(seen.state, RequestState::Completed);
    let ran = seen.completed_at.unwrap() - seen.started_at.unwrap();
    assert!((60..10_000).contains(&ran.num_milliseconds()), "a minute at 1000 took {ran}");
}
