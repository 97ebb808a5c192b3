//! What a claim takes, in which order, and what it leaves.

mod circuits;
mod fairness;
mod slots;

use crate::{
    accept::NewJob,
    tests::{fixture::*, invariants},
};
use domain::{AttemptEvent, Priority};
use sqlx::PgPool;
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

pub(super) fn of_model(model: &str) -> NewJob {
    NewJob { model: model.to_owned(), ..a_job() }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_claim_commits_an_attempt_before_any_byte_leaves(pool: PgPool) {
    let store = store(&pool);
    let before = store.now().await.unwrap();
    let claimed = opened(&store, NewJob { mints_seed: true, ..a_job() }).await;

    let attempt = attempt_row(&pool, claimed.attempt).await;
    assert_eq!((attempt.state.as_str(), attempt.number, attempt.counted), ("submitting", 1, true));
    assert_eq!((claimed.number, claimed.seed), (1, Some(7)));
    assert_eq!(&claimed.input[..], br#"{"prompt": "a lighthouse"}"#);
    assert!(claimed.claimed_at >= before);
    assert_eq!(attempt.next_look_at, Some(claimed.claimed_at + TIMEOUTS.lease), "due when the lease ends");
    assert_eq!(attempt.run_deadline, claimed.claimed_at + TIMEOUTS.start + TIMEOUTS.run);
    let job = job_row(&pool, claimed.job).await;
    assert_eq!((job.state.as_str(), job.attempts_opened, job.attempts_made, job.version), ("running", 1, 1, 2));
    let moves =
        "select count(*) from falconer.transitions where event = 'claimed' and attempt_number = 1 and version = 1
        and attempt_from is null and attempt_to = 'submitting' and job_from = 'queued' and job_to = 'running'
        and job_version = 2";
    assert_eq!(count(&pool, moves).await, 1);
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn no_seed_is_minted_where_none_is_wanted(pool: PgPool) {
    let store = store(&pool);
    assert_eq!(opened(&store, a_job()).await.seed, None);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn attempts_are_numbered_and_counted(pool: PgPool) {
    let store = store(&pool);
    let job = accepted(&store, a_job()).await;
    let mut fences = Vec::new();
    for number in 1..=3 {
        let claimed = claimed(&store).await;
        assert_eq!(claimed.number, number);
        fences.push(claimed.fence);
        let taken_back = number == 2;
        let event = if taken_back { AttemptEvent::NotSent } else { AttemptEvent::Refused(PASSING) };
        decide(&store, &claimed, event).await;
        advance(&store, HOUR).await;
    }
    let job = job_row(&pool, job).await;
    assert_eq!((job.attempts_opened, job.attempts_made), (3, 2), "the second was not sent");
    assert!(fences.is_sorted_by(|a, b| a < b), "a newer claim has the higher fence: {fences:?}");
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn higher_priority_goes_first_then_age_and_age_wins_in_the_end(pool: PgPool) {
    let store = store(&pool);
    let with = |level| NewJob { priority: Priority::new(level).unwrap(), ..a_job() };
    let old_and_low = accepted(&store, with(-10)).await;
    advance(&store, Duration::from_mins(21)).await;
    let first = accepted(&store, with(0)).await;
    let second = accepted(&store, with(0)).await;
    let urgent = accepted(&store, with(10)).await;

    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(claimed(&store).await.job);
    }
    assert_eq!(order, [old_and_low, urgent, first, second], "twenty levels are twenty minutes");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_batch_comes_in_the_order_of_the_queue(pool: PgPool) {
    let store = store(&pool);
    let ids = [accepted(&store, a_job()).await, accepted(&store, a_job()).await, accepted(&store, a_job()).await];
    let batch: Vec<_> = claim_up_to(&store, 10, 3).await.into_iter().map(|claimed| claimed.job).collect();
    assert_eq!(batch, ids);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_job_in_back_off_is_not_claimed_before_its_time(pool: PgPool) {
    let store = store(&pool);
    let claimed = opened(&store, a_job()).await;
    decide(&store, &claimed, AttemptEvent::NotSent).await;
    run(&pool, "update falconer.jobs set run_at = falconer.now() + interval '10 s'").await;

    assert!(claim_up_to(&store, 10, 10).await.is_empty());
    advance(&store, Duration::from_secs(10)).await;
    assert_eq!(claim_up_to(&store, 10, 10).await.len(), 1);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn scheduled_and_canceled_jobs_are_not_claimed(pool: PgPool) {
    let store = store(&pool);
    let in_an_hour = store.now().await.unwrap() + HOUR;
    accepted(&store, NewJob { run_at: Some(in_an_hour), ..a_job() }).await;
    let canceled = accepted(&store, a_job()).await;
    cancel(&store, canceled).await;
    advance(&store, HOUR * 2).await;
    assert!(claim_up_to(&store, 10, 10).await.is_empty(), "only a sweep makes a scheduled job ready");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_job_that_nobody_has_a_use_for_is_not_paid_for(pool: PgPool) {
    let store = store(&pool);
    let useful_until = Some(store.now().await.unwrap() + HOUR);
    accepted(&store, NewJob { useful_until, ..a_job() }).await;
    advance(&store, HOUR).await;
    assert!(claim_up_to(&store, 10, 10).await.is_empty(), "although no sweep has been here yet");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_paused_lane_keeps_its_jobs_and_the_others_go_on(pool: PgPool) {
    let store = store(&pool);
    accepted(&store, of_model("fal-ai/paused")).await;
    let other = accepted(&store, of_model("fal-ai/open")).await;
    run(&pool, "update falconer.lanes set paused_at = falconer.now() where model = 'fal-ai/paused'").await;
    let jobs: Vec<_> = claim_up_to(&store, 10, 10).await.into_iter().map(|claimed| claimed.job).collect();
    assert_eq!(jobs, [other]);
    run(&pool, "update falconer.lanes set paused_at = null").await;
    assert_eq!(claim_up_to(&store, 10, 10).await.len(), 1);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_row_that_somebody_is_changing_is_left_for_the_next_claim(pool: PgPool) {
    let store = store(&pool);
    let held = accepted(&store, a_job()).await;
    let free = accepted(&store, a_job()).await;
    let mut other = pool.begin().await.unwrap();
    sqlx::query("select from falconer.jobs where id = $1 for update").bind(held.0).execute(&mut *other).await.unwrap();

    let jobs: Vec<_> = claim_up_to(&store, 10, 10).await.into_iter().map(|claimed| claimed.job).collect();
    assert_eq!(jobs, [free]);
    other.rollback().await.unwrap();
    assert_eq!(claim_up_to(&store, 10, 10).await.len(), 1);
}
