//! Whoever decides from what has changed since changes nothing.

use domain::{AttemptEvent, AttemptId, RetryPolicy};
use serde_json::json;
use simulator::{Fault, Faults, HistoryMode, Script};
use std::time::Duration;
use store::settle::{AttemptNews, AttemptOutcome, Entry, Guard, Settled, Source};
use testkit::{JobId, World};

async fn first_attempt(world: &World, job: JobId) -> (AttemptId, i32, String) {
    let query = "select id, version, state from falconer.attempts where job_id = $1 and number = 1";
    let (id, version, state) =
        sqlx::query_as(query).bind(job).fetch_one(world.db()).await.expect("the database answers");
    (AttemptId(id), version, state)
}

/// Gives an attempt up, as a reconciler does that has read it in this version.
async fn give_up(world: &World, attempt: AttemptId, version: i32) -> AttemptOutcome {
    let news = AttemptNews::of(attempt, Some(AttemptEvent::GivenUp), Guard::Version(version), Source::Poll);
    let retry = RetryPolicy { first: Duration::from_millis(50), longest: Duration::from_millis(50) };
    let settled = store::settle::settle(world.db(), retry, &[Entry::Attempt(Box::new(news))])
        .await
        .expect("the database answers");
    match settled.answers[..] {
        [Settled::Attempt(outcome)] => outcome,
        _ => panic!("{settled:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconciler_that_read_an_older_row_gives_nothing_up() {
    let world = World::builder().sim(|sim| sim.history = HistoryMode::Off).start().await;
    let reset = Faults::only(Fault::AcceptThenReset);
    world.sim().script_next(Script { hold: true, faults: Some(reset), ..Script::default() });
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let job = world.submit(json!({ "on_unknown": "impatient" })).await;
    world.wait_job(job, "to be unknown", |job| job["waiting"]["reason"] == "unknown_outcome").await;
    let (attempt, read, _) = first_attempt(&world, job).await;
    // A second attempt goes ahead beside it: the row is another now, and still unknown.
    world.sim().wait_until(|view| view.counts.accepted == 2).await.unwrap();
    let (_, version, state) = first_attempt(&world, job).await;
    assert_eq!((version, state.as_str()), (read + 1, "unknown"));

    assert_eq!(give_up(&world, attempt, read).await, AttemptOutcome::default());
    assert_eq!(first_attempt(&world, job).await.2, "unknown");
    // The same decision from the row as it is does count, so the guard alone made the difference.
    assert!(give_up(&world, attempt, version).await.attempt_changed);
    assert_eq!(first_attempt(&world, job).await.2, "abandoned");

    world.sim().release_held();
    world.wait_ended_as(job, "succeeded").await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_slept_past_its_lease_still_brings_its_evidence() {
    let mut world = World::builder().sim(|sim| sim.history = HistoryMode::Off).start().await;
    let second = world.second_server().await;
    let lost = Faults {
        submit_slow: 1.0,
        submit_slow_by: Duration::from_millis(500),
        callback_all_lost: 1.0,
        ..Faults::default()
    };
    world.sim().script_next(Script { faults: Some(lost), ..Script::default() });
    let job = world.submit_prompt("an owl").await;
    world.sent("an owl").await;
    // One of the two is submitting it. Both sleep; the one that wakes first finds that the lease has run out.
    for server in [0, second] {
        world.servers()[server].signal("STOP").await.unwrap();
    }
    world.advance_clock(Duration::from_secs(31)).await;
    for server in [second, 0] {
        world.servers()[server].signal("CONT").await.unwrap();
    }

    world.wait_ended_as(job, "succeeded").await;

    assert_eq!(world.sim().submissions(), 1);
    let bound: String = sqlx::query_scalar("select bound_by from falconer.attempts where job_id = $1")
        .bind(job)
        .fetch_one(world.db())
        .await
        .unwrap();
    assert_eq!(bound, "submit");
    world.drain_and_check().await;
}
