//! Callbacks that never come, and results that are gone.

use serde_json::json;
use simulator::{Fault, Faults, Latency, Script};
use std::{collections::BTreeMap, time::Duration};
use testkit::{World, wait};

#[tokio::test(flavor = "multi_thread")]
async fn all_jobs_come_home_although_a_third_lose_every_callback() {
    let faults = Faults::only(Fault::CallbackTryLost).with(Fault::CallbackAllLost, 0.3);
    let faults = Faults { callback_try_lost: 0.3, callback_doubled: 0.1, ..faults };
    let world = World::builder().faults(faults).start().await;

    let ids = world.submit_many(60, "an owl").await;
    world.wait_all_succeeded(&ids).await;

    let query = "select count(*) from falconer.attempts where result_from = 'poll'";
    let by_poll: i64 = sqlx::query_scalar(query).fetch_one(world.db()).await.unwrap();
    let lost = world.sim().requests().iter().filter(|r| r.faults.contains(&Fault::CallbackAllLost)).count();
    assert!(lost > 5, "the faults were on");
    assert!(by_poll >= i64::try_from(lost).unwrap());
    assert_eq!(world.sim().submissions(), 60);
    world.drain_and_check().await;
}

/// Wide enough that callbacks come before, among and after the looks.
const fn spread_runs() -> Latency {
    Latency { min: Duration::ZERO, max: Duration::from_millis(400) }
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_and_polls_that_finish_together_end_a_job_once() {
    let late = Faults { callback_late_by: Duration::from_millis(1_400), ..Faults::only(Fault::CallbackLate) };
    let world = World::builder()
        .slots(40)
        .faults(late.with(Fault::CallbackDoubled, 1.0))
        .sim(|sim| sim.latency = BTreeMap::from([("*".to_owned(), spread_runs())]))
        .setting("FALCONER_RECONCILER__FIRST_LOOK", "1400ms")
        .setting("FALCONER_RECONCILER__POLLS_PER_SECOND_MAX", "1000")
        .start()
        .await;

    let ids = world.submit_many(40, "an owl").await;
    world.wait_all_succeeded(&ids).await;

    // Not vacuous: both ways were taken.
    let query = "select count(distinct result_from) from falconer.attempts";
    let ways: i64 = sqlx::query_scalar(query).fetch_one(world.db()).await.unwrap();
    assert_eq!(ways, 2);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_expired_while_we_were_down_is_said_to_be_so() {
    let mut world = World::start().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let id = world.submit(json!({ "max_attempts": 1, "input": { "prompt": "an owl" } })).await;
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
    let request = world.sent("an owl").await;
    world.kill_9().await;
    world.sim().release_held();
    world.sim().wait_until(|view| view.counts.completed == 1).await.unwrap();
    world.sim().forget(&request.request_id).unwrap();

    world.restart().await;
    world.advance_clock(Duration::from_mins(1)).await;
    let job = world.wait_ended_as(id, "failed").await;

    assert_eq!(job["error"]["class"], "result_expired");
    assert_eq!(job["error"]["charged"], true);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_gone_was_paid_and_is_made_again_only_when_asked_for() {
    let world = World::start().await;
    world.sim().script_next(Script { faults: Some(Faults::only(Fault::CompletedGone)), ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.sim().wait_until(|view| view.counts.completed == 1).await.unwrap();

    let job = world.wait_ended_as(id, "failed").await;
    assert_eq!(job["error"]["class"], "result_expired");
    assert_eq!(job["error"]["charged"], true);
    assert_ne!(job["cost"]["charged"], "0");
    let refetch = world.post(&format!("/v1/jobs/{id}/refetch"), &json!({})).await;
    assert_eq!(refetch.status, 410, "{}", refetch.json());

    let again = world.post(&format!("/v1/jobs/{id}/regenerate"), &json!({})).await;
    assert_eq!(again.status, 202, "{}", again.json());
    let made = world.wait_ended_as(again.job_id(), "succeeded").await;
    assert_eq!(made["links"]["regenerated_from"], format!("/v1/jobs/{id}"));
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_kept_for_minutes_is_not_missed_after_callbacks_have_been_slow() {
    let mut world = World::start().await;
    // As an outage of our callbacks leaves it behind: fal delivered an hour late.
    let slow = "insert into falconer.model_stats values ('fal-ai/flux/schnell', 3600000, 3600000, 3600000, 500, now())";
    sqlx::raw_sql(slow).execute(world.db()).await.unwrap();
    world.kill_9().await;
    world.restart().await;
    world.sim().set_faults(Faults::only(Fault::CallbackAllLost));
    let id = world.submit_prompt("an owl").await;
    world.sim().wait_until(|view| view.counts.completed == 1).await.unwrap();
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;

    world.advance_clock(Duration::from_mins(2)).await;

    world.wait_ended_as(id, "succeeded").await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fals_outages_while_looking_cost_nothing_but_time() {
    let faults = Faults { callback_all_lost: 1.0, status_5xx: 0.3, status_404_grace: 0.3, ..Faults::default() };
    let world = World::builder().faults(faults).start().await;

    let ids = world.submit_many(10, "an owl").await;
    wait::until("every job to end, in a time that runs ten times as fast", async || {
        world.advance_clock(Duration::from_millis(100)).await;
        let query = "select count(*) from falconer.jobs where finished_at is null";
        let open: i64 = sqlx::query_scalar(query).fetch_one(world.db()).await.unwrap();
        if open == 0 { Ok(()) } else { Err(open) }
    })
    .await;

    world.wait_all_succeeded(&ids).await;
    assert_eq!(world.sim().submissions(), 10);
    world.drain_and_check().await;
}
