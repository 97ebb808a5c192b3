//! Results that come after all, and the second attempt of the impatient.

use crate::Store;
use crate::accept::NewJob;
use crate::claim::Claimed;
use crate::settle::{AttemptNews, AttemptOutcome, Disposition, Guard, Source};
use crate::tests::{fixture::*, invariants};
use domain::{AttemptEvent, Charged, ErrorClass, Late, OnUnknown};
use sqlx::PgPool;
use std::time::Duration;

fn impatient() -> NewJob {
    NewJob { on_unknown: OnUnknown::Impatient, ..a_job() }
}

async fn supersede(store: &Store, pool: &PgPool, claimed: &Claimed) -> AttemptOutcome {
    crate::looks::claim_due(store, 10, Duration::from_secs(75)).await.unwrap();
    let guard = Guard::Version(attempt_row(pool, claimed.attempt).await.version);
    let news = AttemptNews::of(claimed.attempt, None, guard, Source::Poll);
    tell(store, AttemptNews { supersede_unknown: true, next_look: Some(Duration::from_secs(15)), ..news }).await
}

/// A first attempt that nobody knows of, and a second beside it.
async fn two_attempts(store: &Store, pool: &PgPool) -> (Claimed, Claimed) {
    let first = unknown(store, impatient()).await;
    assert!(supersede(store, pool, &first).await.job_changed);
    let second = claimed(store).await;
    assert_eq!((second.job, second.number), (first.job, 2));
    (first, second)
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_impatient_open_one_more_attempt_and_never_another(pool: PgPool) {
    let store = store(&pool);
    let (first, second) = two_attempts(&store, &pool).await;
    let row = attempt_row(&pool, first.attempt).await;
    assert_eq!(row.state, "unknown", "it may still be bound and adopted");
    assert!(row.superseded_at.is_some() && row.next_look_at.unwrap() > store.now().await.unwrap());

    decide(&store, &second, AttemptEvent::NoAnswer).await;
    assert_eq!(supersede(&store, &pool, &second).await, AttemptOutcome::default());
    assert!(claim_up_to(&store, 10, 10).await.is_empty());
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_patient_and_the_operators_open_none(pool: PgPool) {
    let store = store(&pool);
    for on_unknown in [OnUnknown::Patient, OnUnknown::Operator] {
        let claimed = unknown(&store, NewJob { on_unknown, ..a_job() }).await;
        assert_eq!(supersede(&store, &pool, &claimed).await, AttemptOutcome::default());
    }
    let last = unknown(&store, NewJob { attempts_max: 1, ..impatient() }).await;
    assert_eq!(supersede(&store, &pool, &last).await, AttemptOutcome::default(), "no attempt is left");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_late_result_is_adopted_and_the_newer_attempt_is_canceled_at_fal(pool: PgPool) {
    let store = store(&pool);
    let (first, second) = two_attempts(&store, &pool).await;
    learn(&store, second.attempt, AttemptEvent::Bound(request("r-2"))).await;
    let outcome = find(&store, first.attempt, AttemptEvent::ResultOk(request("r-1"))).await;
    assert!(outcome.attempt_changed && outcome.job_changed);

    assert_eq!(job_row(&pool, first.job).await.winner, Some(first.attempt.0));
    let newer = attempt_row(&pool, second.attempt).await;
    assert_eq!(newer.state, "submitted", "a cancel is a wish until fal confirms it");
    assert!(newer.superseded_at.is_some() && newer.cancel_requested_at.is_some());
    assert!(newer.next_look_at.unwrap() <= store.now().await.unwrap());
    invariants::hold(&pool).await;

    find(&store, second.attempt, AttemptEvent::CancelConfirmed(request("r-2"), Charged::No)).await;
    let is = states(&pool, first.job, second.attempt).await;
    assert_eq!(is, ("canceled".into(), "succeeded".into()));
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn when_both_runs_succeed_there_is_one_event_and_two_charges(pool: PgPool) {
    let store = store(&pool);
    let (first, second) = two_attempts(&store, &pool).await;
    find(&store, second.attempt, AttemptEvent::ResultOk(request("r-2"))).await;
    let late = find(&store, first.attempt, AttemptEvent::ResultOk(request("r-1"))).await;
    assert_eq!((late.late, late.job_changed), (Some(Late::SupersededOk), false));
    assert_eq!(job_row(&pool, first.job).await.winner, Some(second.attempt.0));
    assert_eq!(kinds(&pool, second.attempt).await, ["charge"]);
    assert_eq!(kinds(&pool, first.attempt).await, ["superseded_charge"]);
    assert!(attempt_row(&pool, first.attempt).await.superseded_ok_at.is_some());
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_abandoned_attempt_is_adopted_while_its_job_waits(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = unknown(&store, a_job()).await;
    give_up(&store, &pool, claimed.attempt).await;
    let late = receive(&store, call(&store, claimed.attempt, "r-1", ok("{}")).await).await;
    assert_eq!(late, Disposition::Applied);
    assert_eq!(states(&pool, claimed.job, claimed.attempt).await, ("succeeded".into(), "succeeded".into()));
    assert!(claim_up_to(&store, 10, 10).await.is_empty());
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_result_for_a_closed_job_is_noted_and_paid_once_and_nothing_else(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    for (n, ended_without_id) in [false, true].into_iter().enumerate() {
        let id = format!("r-{n}");
        let claimed = if ended_without_id {
            let claimed = opened(&store, a_job()).await;
            decide(&store, &claimed, AttemptEvent::Refused(LASTING)).await;
            claimed
        } else {
            let claimed = submitted(&store, a_job(), &id).await;
            let end = AttemptEvent::CancelConfirmed(request(&id), Charged::No);
            find(&store, claimed.attempt, end).await;
            claimed
        };
        let before = job_row(&pool, claimed.job).await;

        let late = receive(&store, call(&store, claimed.attempt, &id, ok("{}")).await).await;
        assert_eq!(late, Disposition::Applied, "{id}: it changed what we know");
        let noted = attempt_row(&pool, claimed.attempt).await.superseded_ok_at;
        assert!(noted.is_some(), "{id}");
        assert_eq!(job_row(&pool, claimed.job).await, before, "{id}: the job is closed");
        assert!(kinds(&pool, claimed.attempt).await.contains(&"superseded_charge".to_owned()), "{id}");

        advance(&store, Duration::from_secs(1)).await;
        let again = receive(&store, call(&store, claimed.attempt, &id, ok("{}")).await).await;
        assert_eq!(again, Disposition::Duplicate, "{id}");
        assert_eq!(attempt_row(&pool, claimed.attempt).await.superseded_ok_at, noted, "{id}");
    }
    assert_eq!(count(&pool, "select count(*) from falconer.results").await, 0);
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_ended_attempt_keeps_the_name_that_fal_has_for_it(pool: PgPool) {
    let store = store(&pool);
    let claimed = unknown(&store, NewJob { attempts_max: 1, ..a_job() }).await;
    give_up(&store, &pool, claimed.attempt).await;
    assert_eq!(job_row(&pool, claimed.job).await.state, "failed");
    let late = AttemptEvent::ResultError(request("r-1"), PASSING);
    assert!(find(&store, claimed.attempt, late).await.attempt_changed);
    let attempt = attempt_row(&pool, claimed.attempt).await;
    assert_eq!((attempt.state.as_str(), attempt.request_id.as_deref()), ("abandoned", Some("r-1")));
    assert_eq!(attempt.error_class.as_deref(), Some(ErrorClass::Abandoned.as_str()));
    invariants::hold(&pool).await;
}
