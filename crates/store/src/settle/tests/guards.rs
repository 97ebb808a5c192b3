//! Who may speak: decisions are the holder's, evidence is anybody's.

use crate::settle::{AttemptNews, AttemptOutcome, Entry, Guard, Source};
use crate::tests::{fixture::*, invariants};
use domain::{AttemptEvent, AttemptId, ErrorClass};
use sqlx::PgPool;
use std::time::Duration;

fn all_decisions() -> [AttemptEvent; 5] {
    use AttemptEvent::{LeaseExpired, NoAnswer, NotSent, PushedBack, Refused};
    [NotSent, Refused(LASTING), PushedBack { class: ErrorClass::RateLimited }, NoAnswer, LeaseExpired]
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_claim_that_is_not_the_attempts_own_decides_nothing(pool: PgPool) {
    let store = store(&pool);
    let claimed = opened(&store, a_job()).await;
    for event in all_decisions() {
        let stale = crate::claim::Claimed { fence: claimed.fence - 1, ..claimed.clone() };
        assert_eq!(decide(&store, &stale, event.clone()).await, AttemptOutcome::default(), "{event:?}");
        assert_eq!(attempt_row(&pool, claimed.attempt).await.version, 1, "{event:?}");
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_worker_that_lost_its_lease_decides_nothing_and_its_evidence_counts(pool: PgPool) {
    let store = store(&pool);
    let claimed = opened(&store, a_job()).await;
    advance(&store, TIMEOUTS.lease).await;
    decide_at(&store, claimed.attempt, 1, AttemptEvent::LeaseExpired).await;
    assert_eq!(states(&pool, claimed.job, claimed.attempt).await, ("unknown".into(), "running".into()));

    for event in all_decisions() {
        assert_eq!(decide(&store, &claimed, event.clone()).await, AttemptOutcome::default(), "{event:?}");
    }
    assert!(learn(&store, claimed.attempt, AttemptEvent::Bound(request("r-1"))).await.attempt_changed);
    let attempt = attempt_row(&pool, claimed.attempt).await;
    assert_eq!((attempt.state.as_str(), attempt.bound_by.as_deref()), ("submitted", Some("submit")));
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_decision_from_a_stale_read_is_void(pool: PgPool) {
    let store = store(&pool);
    let claimed = unknown(&store, a_job()).await;
    let read_at = attempt_row(&pool, claimed.attempt).await.version;
    learn(&store, claimed.attempt, AttemptEvent::Bound(request("r-1"))).await;

    let late = decide_at(&store, claimed.attempt, read_at, AttemptEvent::GivenUp).await;
    assert_eq!(late, AttemptOutcome::default());
    assert_eq!(states(&pool, claimed.job, claimed.attempt).await, ("submitted".into(), "running".into()));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_was_superseded_meanwhile_is_not_given_up_by_a_stale_read(pool: PgPool) {
    let store = store(&pool);
    let impatient = crate::accept::NewJob { on_unknown: domain::OnUnknown::Impatient, ..a_job() };
    let claimed = unknown(&store, impatient).await;
    let read_at = attempt_row(&pool, claimed.attempt).await.version;
    let superseding = AttemptNews::of(claimed.attempt, None, Guard::Version(read_at), Source::Poll);
    tell(&store, AttemptNews { supersede_unknown: true, ..superseding }).await;
    assert_eq!(states(&pool, claimed.job, claimed.attempt).await, ("unknown".into(), "queued".into()));

    decide_at(&store, claimed.attempt, read_at, AttemptEvent::GivenUp).await;
    assert_eq!(attempt_row(&pool, claimed.attempt).await.state, "unknown", "whoever read it did not know of that");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn of_two_decisions_from_the_same_read_one_counts(pool: PgPool) {
    let store = store(&pool);
    let claimed = unknown(&store, a_job()).await;
    let version = attempt_row(&pool, claimed.attempt).await.version;
    let news = || {
        let event = Some(AttemptEvent::GivenUp);
        Entry::Attempt(Box::new(AttemptNews::of(claimed.attempt, event, Guard::Version(version), Source::Poll)))
    };
    settle_all(&store, &[news(), news()]).await;
    assert_eq!(attempt_row(&pool, claimed.attempt).await.version, version + 1);
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_stale_decision_cannot_end_a_later_attempt(pool: PgPool) {
    let store = store(&pool);
    let first = opened(&store, a_job()).await;
    decide(&store, &first, AttemptEvent::Refused(PASSING)).await;
    advance(&store, Duration::from_mins(10)).await;
    let second = claimed(&store).await;
    assert_eq!((second.job, second.number), (first.job, 2));

    for event in all_decisions() {
        decide(&store, &first, event).await;
    }
    assert_eq!(states(&pool, second.job, second.attempt).await, ("submitting".into(), "running".into()));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn news_of_what_is_not_there_change_nothing(pool: PgPool) {
    let store = store(&pool);
    let nobody = AttemptId(crate::fresh_id());
    let outcome = learn(&store, nobody, AttemptEvent::ResultOk(request("r-1"))).await;
    assert_eq!(outcome, AttemptOutcome::default());
    assert_eq!(count(&pool, "select count(*) from falconer.request_bindings").await, 0);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_request_id_of_another_attempt_is_a_conflict(pool: PgPool) {
    let store = store(&pool);
    let first = submitted(&store, a_job(), "r-1").await;
    let second = opened(&store, a_job()).await;
    for event in [AttemptEvent::Bound(request("r-1")), AttemptEvent::ResultOk(request("r-1"))] {
        assert!(learn(&store, second.attempt, event).await.conflict);
    }
    let renamed = learn(&store, first.attempt, AttemptEvent::ResultOk(request("r-2"))).await;
    assert!(renamed.conflict, "an attempt has one request id");
    assert_eq!(attempt_row(&pool, second.attempt).await.state, "submitting");
    assert_eq!(attempt_row(&pool, first.attempt).await.state, "submitted");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn one_request_id_binds_one_of_two_attempts_of_the_same_batch(pool: PgPool) {
    let store = store(&pool);
    let (first, second) = (opened(&store, a_job()).await, opened(&store, a_job()).await);
    let bound = |attempt| {
        let event = AttemptEvent::Bound(request("r-1"));
        Entry::Attempt(Box::new(evidence(attempt, event, Source::Submit)))
    };
    settle_all(&store, &[bound(first.attempt), bound(second.attempt)]).await;
    assert_eq!(attempt_row(&pool, first.attempt).await.state, "submitted");
    assert_eq!(attempt_row(&pool, second.attempt).await.state, "submitting");
    invariants::hold(&pool).await;
}
