//! When a job runs, and when nobody has a use for it any more.

use serde_json::{Value, json};
use simulator::Script;
use std::time::Duration;
use testkit::World;

/// An instant of the database's clock.
async fn at(world: &World, ahead: &str) -> String {
    let query = "select to_char((falconer.now() + $1::interval) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    sqlx::query_scalar(query).bind(ahead).fetch_one(world.db()).await.expect("the database answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_for_later_waits_for_its_hour() {
    let world = World::start().await;
    let run_at = at(&world, "1 hour").await;
    let id = world.submit(json!({ "run_at": run_at })).await;

    let job = world.job(id).await;
    assert_eq!((job["state"].as_str(), job["waiting"]["reason"].as_str()), (Some("scheduled"), Some("scheduled")));
    assert_eq!(job["run_at"], run_at);
    assert_eq!(job["waiting"]["expected_start_at"], run_at);
    world.advance_clock(Duration::from_mins(59)).await;
    let by_now = world.submit_prompt("by now").await;
    world.wait_ended_as(by_now, "succeeded").await;
    assert_eq!(world.job(id).await["state"], "scheduled");

    world.advance_clock(Duration::from_mins(2)).await;
    world.wait_ended_as(id, "succeeded").await;
    assert_eq!(world.events(id).await[..2], ["accepted", "due"]);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_has_a_use_for_any_more_is_not_sent() {
    let world = World::builder().slots(1).setting("FALCONER_SUBMITTER__IN_FLIGHT_MARGIN", "0").start().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let first = world.submit_prompt("first").await;
    world.sent("first").await;
    let id = world.submit(json!({ "useful_until": at(&world, "1 minute").await })).await;
    let waits = |job: &Value| job["waiting"]["reason"] == "slots";
    world.wait_job(id, "to wait for a slot", waits).await;

    world.advance_clock(Duration::from_secs(61)).await;
    world.wait_ended_as(id, "canceled").await;

    world.sim().release_held();
    world.wait_ended_as(first, "succeeded").await;
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_urgent_goes_first_and_age_decides_among_equals() {
    let world = World::builder().slots(1).setting("FALCONER_SUBMITTER__IN_FLIGHT_MARGIN", "0").start().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    world.submit_prompt("blocker").await;
    world.sent("blocker").await;
    for (prompt, priority) in [("low", -5), ("first", 0), ("second", 0), ("high", 5), ("highest", 10)] {
        world.submit(json!({ "priority": priority, "input": { "prompt": prompt } })).await;
    }

    world.sim().release_held();
    let view = world.sim().wait_until(|view| view.counts.completed == 6).await.unwrap();

    let prompt = |input: &[u8]| serde_json::from_slice::<Value>(input).unwrap()["prompt"].as_str().unwrap().to_owned();
    let order: Vec<String> = view.requests.iter().map(|request| prompt(&request.input)).collect();
    assert_eq!(order, ["blocker", "highest", "high", "first", "second", "low"]);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_the_job_or_with_its_time() {
    let world = World::start().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.sent("an owl").await;

    let open = world.get(&format!("/v1/jobs/{id}/wait?timeout=100ms")).await;
    assert_eq!((open.status, open.json()["state"].as_str()), (200, Some("running")));
    assert_eq!(world.get(&format!("/v1/jobs/{id}/result")).await.status, 409);
    let path = format!("/v1/jobs/{id}/wait?timeout=30s");
    let (ended, ()) = tokio::join!(world.get(&path), async { world.sim().release_held() });
    assert_eq!((ended.status, ended.json()["state"].as_str()), (200, Some("succeeded")));
    world.drain_and_check().await;
}
