//! fal's history, late.

use super::{lost, state_of, wait_unknown};
use simulator::HistoryMode;
use std::time::Duration;
use testkit::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_lags_is_asked_until_it_tells() {
    // The bill would tell sooner, and is not asked where there is a history.
    let world = World::builder().sim(|sim| sim.history_lag = Duration::from_secs(4)).start().await;
    world.sim().script_next(lost());
    let id = world.submit_prompt("an owl").await;
    wait_unknown(&world, id).await;

    let job = world.wait_ended_as(id, "succeeded").await;

    let log = world.server().log();
    assert!(log.contains("still_unknown"), "it was asked in vain before");
    assert!(log.contains("found_in_history") && !log.contains("found_in_bills"));
    assert_eq!(state_of(&world, id, 1).await, ("succeeded".to_owned(), Some("history".to_owned())));
    assert_eq!((job["attempts_made"].as_u64(), world.sim().submissions()), (Some(1), 1));
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_lags_behind_abandoning_costs_a_second_run_and_its_late_callback_is_noted() {
    let world = World::builder()
        .sim(|sim| (sim.history_lag, sim.billing) = (Duration::from_hours(1), HistoryMode::Off))
        .start()
        .await;
    world.sim().script_next(lost());
    let id = world.submit_prompt("an owl").await;
    wait_unknown(&world, id).await;
    let first = world.sent("an owl").await;

    world.advance_clock(Duration::from_mins(181)).await;
    world.wait_ended_as(id, "succeeded").await;
    // The callback that comes after all names the attempt that was given up; too old a stamp, so nothing else.
    let result = world.fal_result(&first).await;
    let body = testkit::ok_body(&first.request_id, &result);
    assert_eq!(world.forge_stale(&first, body).await, 200);

    let named = "select request_id from falconer.attempts where job_id = $1 and number = 1";
    let named: Option<String> = sqlx::query_scalar(named).bind(id).fetch_one(world.db()).await.unwrap();
    assert_eq!(named.as_deref(), Some(first.request_id.as_str()));
    assert_eq!(world.sim().submissions(), 2);
    world.drain_and_check().await;
}
