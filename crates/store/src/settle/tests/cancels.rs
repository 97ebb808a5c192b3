//! A cancel is a wish until fal confirms it.

use crate::settle::{Disposition, Entry, JobNews, JobOutcome, KeptCause, Settled};
use crate::tests::{fixture::*, invariants};
use domain::{AttemptEvent, Charged, ErrorClass, Failure, JobEvent, JobId};
use sqlx::PgPool;

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_waiting_job_is_canceled_at_once(pool: PgPool) {
    let store = store(&pool);
    let job = accepted(&store, a_job()).await;
    assert_eq!(cancel(&store, job).await, JobOutcome::Changed);
    assert_eq!(job_row(&pool, job).await.state, "canceled");
    assert_eq!(cancel(&store, job).await, JobOutcome::Unchanged { terminal: true });
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_cancel_of_a_running_job_is_armed_and_fal_is_asked_at_once(pool: PgPool) {
    let store = store(&pool);
    let claimed = submitted(&store, a_job(), "r-1").await;
    run(&pool, "update falconer.attempts set next_look_at = falconer.now() + interval '1 h'").await;
    assert_eq!(cancel(&store, claimed.job).await, JobOutcome::Changed);
    assert_eq!(cancel(&store, claimed.job).await, JobOutcome::Unchanged { terminal: false });
    let (attempt, job) = (attempt_row(&pool, claimed.attempt).await, job_row(&pool, claimed.job).await);
    assert_eq!((attempt.state.as_str(), job.state.as_str()), ("submitted", "running"));
    assert!(attempt.cancel_requested_at.is_some() && job.cancel_requested_at.is_some());
    assert!(attempt.next_look_at.unwrap() <= store.now().await.unwrap());
    invariants::hold(&pool).await;

    find(&store, claimed.attempt, AttemptEvent::CancelConfirmed(request("r-1"), Charged::Perhaps)).await;
    assert_eq!(states(&pool, claimed.job, claimed.attempt).await, ("canceled".into(), "canceled".into()));
    assert_eq!(kinds(&pool, claimed.attempt).await, ["possible_charge"]);
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_callback_of_a_stopped_run_cancels_the_job_only_where_somebody_wished_it(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let stopped = || error(Failure { class: ErrorClass::Canceled, charged: Charged::Perhaps });
    let (wished, unasked) = (submitted(&store, a_job(), "r-1").await, submitted(&store, a_job(), "r-2").await);
    cancel(&store, wished.job).await;

    let news = call(&store, wished.attempt, "r-1", stopped()).await;
    assert_eq!(receive(&store, news).await, Disposition::Applied);
    let news = call(&store, unasked.attempt, "r-2", stopped()).await;
    assert_eq!(receive(&store, news).await, Disposition::Kept(KeptCause::UnaskedCancel));

    assert_eq!(job_row(&pool, wished.job).await.state, "canceled");
    assert_eq!(states(&pool, unasked.job, unasked.attempt).await, ("submitted".into(), "running".into()));
    let next_look = attempt_row(&pool, unasked.attempt).await.next_look_at;
    assert!(next_look.unwrap() <= store.now().await.unwrap(), "fal is asked at once");
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_armed_cancel_fires_when_the_attempt_is_bound(pool: PgPool) {
    let store = store(&pool);
    for (n, no_answer) in [false, true].into_iter().enumerate() {
        let claimed = opened(&store, a_job()).await;
        if no_answer {
            decide(&store, &claimed, AttemptEvent::NoAnswer).await;
        }
        cancel(&store, claimed.job).await;
        run(&pool, "update falconer.attempts set next_look_at = falconer.now() + interval '1 h'").await;
        learn(&store, claimed.attempt, AttemptEvent::Bound(request(&format!("r-{n}")))).await;
        let attempt = attempt_row(&pool, claimed.attempt).await;
        assert!(attempt.cancel_requested_at.is_some());
        assert!(attempt.next_look_at.unwrap() <= store.now().await.unwrap(), "no answer: {no_answer}");
    }
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_result_that_overtakes_the_cancel_wins(pool: PgPool) {
    let store = store(&pool);
    let claimed = submitted(&store, a_job(), "r-1").await;
    cancel(&store, claimed.job).await;
    find(&store, claimed.attempt, AttemptEvent::ResultOk(request("r-1"))).await;
    assert_eq!(job_row(&pool, claimed.job).await.state, "succeeded");
    let after = find(&store, claimed.attempt, AttemptEvent::CancelConfirmed(request("r-1"), Charged::No)).await;
    assert!(after.conflict);
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_armed_cancel_lets_no_further_attempt_begin(pool: PgPool) {
    let store = store(&pool);
    let ends: [fn(&str) -> AttemptEvent; 2] =
        [|_| AttemptEvent::NotSent, |id| AttemptEvent::ResultError(request(id), PASSING)];
    for (n, end) in ends.into_iter().enumerate() {
        let claimed = opened(&store, a_job()).await;
        cancel(&store, claimed.job).await;
        decide_or_learn(&store, &claimed, end(&format!("r-{n}"))).await;
        assert_eq!(job_row(&pool, claimed.job).await.state, "canceled");
    }
    assert!(claim_up_to(&store, 10, 10).await.is_empty());
    invariants::hold(&pool).await;
}

async fn decide_or_learn(store: &crate::Store, claimed: &crate::claim::Claimed, event: AttemptEvent) {
    if event.request_id().is_some() {
        learn(store, claimed.attempt, event).await;
    } else {
        decide(store, claimed, event).await;
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn another_projects_job_and_no_job_are_not_found(pool: PgPool) {
    let store = store(&pool);
    let job = accepted(&store, a_job()).await;
    let other = another_project(&store).await;
    let event = JobEvent::CancelRequested;
    let foreign = Entry::Job(JobNews { job, project: Some(other), event: event.clone() });
    let nothing = Entry::Job(JobNews { job: JobId(crate::fresh_id()), project: None, event: event.clone() });
    let own = Entry::Job(JobNews { job, project: Some(ME), event });
    let answers = settle_all(&store, &[foreign, nothing, own]).await;
    let not_found = || Settled::Job(JobOutcome::NotFound);
    assert_eq!(answers, [not_found(), not_found(), Settled::Job(JobOutcome::Changed)]);
}
