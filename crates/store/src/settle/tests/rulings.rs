//! The tables of transitions as they were ruled, row by row, with what each row says beside the states: the place that is
//! held, the count, the class and the charge.

use crate::tests::{fixture::*, invariants};
use crate::{Store, claim::Claimed};
use domain::{AttemptEvent, Charged, ErrorClass, Failure, OnUnknown};
use sqlx::PgPool;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
enum Start {
    Submitting,
    Unknown,
    Submitted,
}

/// What a row says: from where, what happens, the attempt, the job, whether it counts, the class and the charge.
type Row = (Start, AttemptEvent, &'static str, &'static str, bool, Option<(&'static str, &'static str)>);

const UNKNOWN_MODEL: Failure = Failure { class: ErrorClass::UnknownModel, charged: Charged::No };
const VALIDATION: Failure = Failure { class: ErrorClass::Validation, charged: Charged::No };

fn decisions() -> Vec<Row> {
    use AttemptEvent::{GivenUp, LeaseExpired, NoAnswer, NotSent, PushedBack, Refused};
    use Start::{Submitting, Unknown};
    vec![
        (Submitting, NotSent, "failed", "queued", false, Some(("not_sent", "no"))),
        (Submitting, Refused(VALIDATION), "failed", "failed", true, Some(("validation", "no"))),
        (Submitting, Refused(UNKNOWN_MODEL), "failed", "failed", true, Some(("unknown_model", "no"))),
        (Submitting, Refused(PASSING), "failed", "queued", true, Some(("infrastructure", "no"))),
        (
            Submitting,
            PushedBack { class: ErrorClass::RateLimited },
            "failed",
            "queued",
            false,
            Some(("rate_limited", "no")),
        ),
        (
            Submitting,
            PushedBack { class: ErrorClass::Credential },
            "failed",
            "queued",
            false,
            Some(("credential", "no")),
        ),
        (Submitting, NoAnswer, "unknown", "running", true, None),
        (Submitting, LeaseExpired, "unknown", "running", true, None),
        (Unknown, GivenUp, "abandoned", "queued", true, Some(("abandoned", "perhaps"))),
    ]
}

fn evidence_of(from: Start, id: &str) -> Vec<Row> {
    use AttemptEvent::{Bound, CancelConfirmed, ResultError, ResultGone, ResultOk};
    let r = || request(id);
    vec![
        (from, Bound(r()), "submitted", "running", true, None),
        (from, ResultOk(r()), "succeeded", "succeeded", true, None),
        (from, ResultError(r(), PASSING), "failed", "queued", true, Some(("infrastructure", "no"))),
        (from, ResultError(r(), LASTING), "failed", "failed", true, Some(("content_policy", "perhaps"))),
        (from, ResultGone(r()), "expired", "failed", true, Some(("result_expired", "yes"))),
        (from, CancelConfirmed(r(), Charged::No), "canceled", "canceled", true, Some(("canceled", "no"))),
    ]
}

async fn at(store: &Store, from: Start, id: &str) -> Claimed {
    match from {
        Start::Submitting => opened(store, a_job()).await,
        Start::Unknown => unknown(store, a_job()).await,
        Start::Submitted => submitted(store, a_job(), id).await,
    }
}

async fn holds(store: &Store, pool: &PgPool, row: Row, id: &str) {
    let (from, event, attempt_state, job_state, counted, failure) = row;
    let what = format!("{from:?}, {event:?}");
    let claimed = at(store, from, id).await;
    let before = attempt_row(pool, claimed.attempt).await;
    let outcome = match (&event.request_id(), from) {
        (Some(_), _) => learn(store, claimed.attempt, event.clone()).await,
        (None, Start::Submitting) => decide(store, &claimed, event.clone()).await,
        (None, _) => decide_at(store, claimed.attempt, before.version, event.clone()).await,
    };

    let (attempt, job) = (attempt_row(pool, claimed.attempt).await, job_row(pool, claimed.job).await);
    assert_eq!((attempt.state.as_str(), job.state.as_str()), (attempt_state, job_state), "{what}");
    assert_eq!((attempt.counted, job.attempts_made), (counted, i16::from(counted)), "{what}");
    assert_eq!(attempt.error_class.as_deref().zip(attempt.charged.as_deref()), failure, "{what}");
    assert_eq!(outcome.attempt_changed, attempt.version > before.version, "{what}");
    let is_open = ["submitting", "unknown", "submitted"].contains(&attempt_state);
    assert_eq!(attempt.next_look_at.is_some(), is_open, "{what}: whoever is open is looked at");
    let failed_for = if job_state == "failed" { failure } else { None };
    assert_eq!(job.error_class.as_deref().zip(job.error_charged.as_deref()), failed_for, "{what}");
    // Out of the way of the next row.
    cancel(store, claimed.job).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn every_decision_does_what_was_ruled(pool: PgPool) {
    let store = store(&pool);
    for (n, row) in decisions().into_iter().enumerate() {
        holds(&store, &pool, row, &format!("d-{n}")).await;
    }
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn all_evidence_does_what_was_ruled(pool: PgPool) {
    let store = store(&pool);
    for from in [Start::Submitting, Start::Unknown, Start::Submitted] {
        for n in 0..evidence_of(from, "").len() {
            let id = format!("e-{from:?}-{n}");
            let row = evidence_of(from, &id).remove(n);
            if !matches!((from, &row.1), (Start::Submitted, AttemptEvent::Bound(_))) {
                holds(&store, &pool, row, &id).await;
            }
        }
    }
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_unsent_attempt_does_not_use_up_the_job(pool: PgPool) {
    let store = store(&pool);
    let job = accepted(&store, crate::accept::NewJob { attempts_max: 1, ..a_job() }).await;
    for _ in 0..3 {
        let claimed = claimed(&store).await;
        decide(&store, &claimed, AttemptEvent::NotSent).await;
        advance(&store, Duration::from_mins(10)).await;
    }
    let last = claimed(&store).await;
    decide(&store, &last, AttemptEvent::Refused(PASSING)).await;
    let job = job_row(&pool, job).await;
    assert_eq!((job.state.as_str(), job.attempts_opened, job.attempts_made), ("failed", 4, 1));
    assert_eq!(job.error_class.as_deref(), Some("infrastructure"));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_is_given_up_follows_the_policy(pool: PgPool) {
    let store = store(&pool);
    let cases = [
        (OnUnknown::Patient, 5, "abandoned", "queued"),
        (OnUnknown::Patient, 1, "abandoned", "failed"),
        (OnUnknown::Impatient, 5, "abandoned", "queued"),
        (OnUnknown::Operator, 5, "unknown", "running"),
    ];
    for (on_unknown, attempts_max, attempt, job) in cases {
        let claimed = unknown(&store, crate::accept::NewJob { on_unknown, attempts_max, ..a_job() }).await;
        give_up(&store, &pool, claimed.attempt).await;
        let is = states(&pool, claimed.job, claimed.attempt).await;
        assert_eq!((is.0.as_str(), is.1.as_str()), (attempt, job), "{on_unknown:?}, {attempts_max}");
        cancel(&store, claimed.job).await;
    }
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_fal_asked_us_to_wait_is_waited(pool: PgPool) {
    let store = store(&pool);
    let claimed = opened(&store, a_job()).await;
    let guard = crate::settle::Guard::Lease { fence: claimed.fence };
    let event = AttemptEvent::PushedBack { class: ErrorClass::RateLimited };
    let news = crate::settle::AttemptNews {
        retry_after: Some(Duration::from_secs(90)),
        ..crate::settle::AttemptNews::of(claimed.attempt, Some(event), guard, crate::settle::Source::Submit)
    };
    let before = store.now().await.unwrap();
    tell(&store, news).await;
    assert!(job_row(&pool, claimed.job).await.run_at >= before + Duration::from_secs(90));
}
