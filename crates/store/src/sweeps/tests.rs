//! What only time moves.

use super::*;
use crate::accept::NewJob;
use crate::settle::Entry;
use crate::tests::{fixture::*, invariants};
use sqlx::PgPool;
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

async fn sweep(store: &Store) -> usize {
    let found: Vec<Entry> = super::find(store).await.unwrap().into_iter().map(Entry::Job).collect();
    settle_all(store, &found).await;
    found.len()
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_scheduled_job_is_ready_when_its_hour_has_come(pool: PgPool) {
    let store = store(&pool);
    let run_at = Some(store.now().await.unwrap() + HOUR);
    let job = accepted(&store, NewJob { run_at, ..a_job() }).await;
    assert_eq!(sweep(&store).await, 0);
    advance(&store, HOUR).await;
    assert_eq!(sweep(&store).await, 1);
    assert_eq!(job_row(&pool, job).await.state, "queued");
    assert_eq!(claimed(&store).await.job, job);
    assert_eq!(sweep(&store).await, 0);
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_nobody_has_a_use_for_is_canceled_unless_it_runs(pool: PgPool) {
    let store = store(&pool);
    let now = store.now().await.unwrap();
    let useful_until = Some(now + HOUR);
    let running = opened(&store, NewJob { useful_until, ..a_job() }).await;
    let waiting = accepted(&store, NewJob { useful_until, ..a_job() }).await;
    let scheduled = accepted(&store, NewJob { useful_until, run_at: Some(now + HOUR * 2), ..a_job() }).await;
    advance(&store, HOUR).await;
    assert_eq!(sweep(&store).await, 2);
    assert_eq!(job_row(&pool, running.job).await.state, "running", "it is paid for already");
    assert_eq!(job_row(&pool, waiting).await.state, "canceled");
    assert_eq!(job_row(&pool, scheduled).await.state, "canceled");
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_job_that_moved_on_since_it_was_found_is_left_alone(pool: PgPool) {
    let store = store(&pool);
    let useful_until = Some(store.now().await.unwrap() + HOUR);
    accepted(&store, NewJob { useful_until, ..a_job() }).await;
    let claimed = claimed(&store).await;
    let found = JobNews { job: claimed.job, project: None, event: JobEvent::UsefulUntilPassed };
    settle_all(&store, &[Entry::Job(found)]).await;
    assert_eq!(states(&pool, claimed.job, claimed.attempt).await, ("submitting".into(), "running".into()));
}
