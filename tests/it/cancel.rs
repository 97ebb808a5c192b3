//! A cancel is a wish until fal confirms it.

use futures::future::join_all;
use serde_json::json;
use simulator::{Fault, Faults, Script};
use std::time::Duration;
use testkit::{World, ok_body, wait};

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_job_is_canceled_at_once_and_an_ended_one_not_at_all() {
    let world = World::start().await;
    let id = world.submit(json!({ "run_at": "2090-01-01T00:00:00Z" })).await;

    let first = world.cancel(id).await;
    let second = world.cancel(id).await;

    assert_eq!((first.status, first.json()["state"].as_str()), (202, Some("canceled")));
    assert_eq!((second.status, second.json()["type"].as_str()), (409, Some("/errors/job-terminal")));
    assert_eq!(world.get(&format!("/v1/jobs/{id}/result")).await.status, 410);
    assert_eq!(world.sim().submissions(), 0);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_canceled_when_fal_says_so() {
    let world = World::start().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;

    let wish = world.cancel(id).await;

    assert_eq!(wish.status, 202);
    world.sim().wait_until(|view| view.requests[0].canceled).await.unwrap();
    world.sim().release_held();
    world.wait_ended_as(id, "canceled").await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_fal_ignores_loses_to_the_result() {
    let world = World::start().await;
    let ignores = Faults::only(Fault::CancelIgnored);
    world.sim().script_next(Script { hold: true, faults: Some(ignores), ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
    assert_eq!(world.cancel(id).await.status, 202);
    world.sim().wait_until(|view| view.requests[0].canceled).await.unwrap();
    assert_eq!(world.job(id).await["state"], "running");

    world.sim().release_held();
    world.wait_ended_as(id, "succeeded").await;

    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancels_that_race_with_ends_leave_one_end_each() {
    let world = World::builder().slots(20).start().await;
    let ids = world.submit_many(60, "an owl").await;

    world.sim().wait_until(|view| view.counts.completed >= 10).await.unwrap();
    let answers = join_all(ids.iter().map(|id| world.cancel(*id))).await;

    assert!(answers.iter().all(|answer| matches!(answer.status, 202 | 409)));
    let mut states = std::collections::BTreeSet::new();
    for id in &ids {
        states.insert(world.wait_terminal(*id).await["state"].as_str().unwrap().to_owned());
    }
    assert!(states.contains("canceled"), "{states:?}");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_of_an_unknown_attempt_stays_armed_until_its_id_is_known() {
    let world = World::start().await;
    let reset = Faults::only(Fault::AcceptThenReset);
    world.sim().script_next(Script { hold: true, faults: Some(reset), ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.wait_job(id, "to be unknown", |job| job["waiting"]["reason"] == "unknown_outcome").await;

    assert_eq!(world.cancel(id).await.status, 202);
    assert_eq!(world.job(id).await["state"], "running");
    let request = world.sent("an owl").await;
    assert!(!request.canceled);
    // A callback without a result names the request, and no more.
    assert_eq!(world.forge(&request, ok_body(&request.request_id, b"null")).await, 200);

    world.sim().wait_until(|view| view.requests[0].canceled).await.unwrap();
    world.sim().release_held();
    world.wait_ended_as(id, "canceled").await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_too_long_is_stopped_and_tried_again() {
    let world = World::start().await;
    world.sim().script_next(Script { run_time: Some(Duration::from_hours(2)), ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;

    world.advance_clock(Duration::from_mins(71)).await;
    world.sim().wait_until(|view| view.requests[0].canceled).await.unwrap();
    let job = world.wait_ended_as(id, "succeeded").await;

    assert_eq!(job["attempts_made"], 2);
    wait::until("the first attempt to be said to have timed out", async || {
        let query = "select error_class from falconer.attempts where job_id = $1 and number = 1";
        let class: Option<String> = sqlx::query_scalar(query).bind(id).fetch_one(world.db()).await.unwrap();
        if class.as_deref() == Some("timeout_run") { Ok(()) } else { Err(class) }
    })
    .await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_we_had_stopped_since_it_took_too_long_is_tried_again() {
    let world = World::builder()
        .sim(|sim| sim.webhook_on_cancel = true)
        .setting("FALCONER_SUBMITTER__SUBMIT_TIMEOUT", "1s")
        .setting("FALCONER_SHUTDOWN__DRAIN", "2s")
        .setting("FALCONER_SUBMITTER__LEASE", "3s")
        .setting("FALCONER_SUBMITTER__START_TIMEOUT", "4s")
        .setting("FALCONER_SUBMITTER__RUN_TIMEOUT", "2s")
        .start()
        .await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;

    world.advance_clock(Duration::from_mins(1)).await;

    let job = world.wait_ended_as(id, "succeeded").await;
    assert_eq!(job["attempts_made"], 2);
    let seen = world.sim().requests();
    assert_eq!((seen.len(), seen[0].canceled, seen[1].canceled), (2, true, false));
    world.drain_and_check().await;
}
