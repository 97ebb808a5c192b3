//! Two who learn of the same thing at the same time.

use crate::settle::{AttemptOutcome, Disposition, Entry, JobNews, Settled, Source, settle};
use crate::tests::{fixture::*, invariants};
use domain::{AttemptEvent, CallbackId, JobEvent};
use futures::future::join_all;
use sqlx::PgPool;
use std::time::Duration;

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn many_copies_at_once_are_one_transition(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    let first = call(&store, claimed.attempt, "r-1", ok("{}")).await;
    let copies = (0..32).map(|_| {
        let mut copy = first.clone();
        copy.id = CallbackId(crate::fresh_id());
        receive(&store, copy)
    });
    let dispositions = join_all(copies).await;
    assert_eq!(dispositions.iter().filter(|one| **one == Disposition::Applied).count(), 1);
    assert_eq!(dispositions.iter().filter(|one| **one == Disposition::Duplicate).count(), 31);
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_callback_and_a_look_that_finish_together_end_the_job_once(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    for round in 0..50 {
        let id = format!("r-{round}");
        let claimed = submitted(&store, a_job(), &id).await;
        let news = call(&store, claimed.attempt, &id, ok(r#"{"images": []}"#)).await;
        let found = find(&store, claimed.attempt, AttemptEvent::ResultOk(request(&id)));
        let (disposition, found): (_, AttemptOutcome) = tokio::join!(receive(&store, news), found);
        assert_ne!(disposition == Disposition::Applied, found.attempt_changed, "round {round}");
        assert!(!found.conflict && !matches!(disposition, Disposition::Kept(_)), "round {round}");
    }
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_cancel_that_races_the_claim_stops_the_job_or_is_armed(pool: PgPool) {
    let store = store(&pool);
    let mut armed = 0;
    for round in 0..50 {
        let job = accepted(&store, a_job()).await;
        let (claimed, _) = tokio::join!(claim_up_to(&store, 1000, 1), cancel(&store, job));
        let row = job_row(&pool, job).await;
        assert!(row.cancel_requested_at.is_some() || row.state == "canceled", "round {round}: {row:?}");
        assert_eq!(claimed.is_empty(), row.state == "canceled", "round {round}");
        if let Some(claimed) = claimed.first() {
            armed += 1;
            decide(&store, claimed, AttemptEvent::NotSent).await;
            assert_eq!(job_row(&pool, job).await.state, "canceled", "round {round}");
        }
    }
    eprintln!("{armed} of 50 claims came first");
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn batches_that_name_the_same_jobs_in_other_orders_do_not_deadlock(pool: PgPool) {
    let store = store(&pool);
    let mut claimed = Vec::new();
    for n in 0..10 {
        claimed.push(submitted(&store, a_job(), &format!("r-{n}")).await);
    }
    for round in 0..30 {
        let wishes: Vec<Entry> = claimed
            .iter()
            .map(|claimed| JobNews { job: claimed.job, project: None, event: JobEvent::CancelRequested })
            .map(Entry::Job)
            .collect();
        let news: Vec<Entry> = claimed
            .iter()
            .enumerate()
            .rev()
            .map(|(n, claimed)| (claimed.attempt, AttemptEvent::Bound(request(&format!("r-{n}")))))
            .map(|(attempt, event)| Entry::Attempt(Box::new(evidence(attempt, event, Source::Poll))))
            .collect();
        let looks = crate::looks::claim_due(&store, 10, Duration::from_millis(1));
        let (one, other, looks) = tokio::join!(settle(&pool, RETRY, &wishes), settle(&pool, RETRY, &news), looks);
        assert!(one.is_ok() && other.is_ok() && looks.is_ok(), "round {round}");
        advance(&store, Duration::from_secs(1)).await;
    }
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn two_attempts_that_are_told_of_one_request_at_once_leave_it_to_one_and_a_conflict_to_the_other(pool: PgPool) {
    let store = store(&pool);
    for round in 0..30 {
        accepted(&store, a_job()).await;
        accepted(&store, a_job()).await;
        let claimed = claim_up_to(&store, 1000, 2).await;
        let request = request(&format!("r-{round}"));
        let told = claimed.iter().map(|claimed| {
            let event = AttemptEvent::Bound(request.clone());
            [Entry::Attempt(Box::new(evidence(claimed.attempt, event, Source::Submit)))]
        });
        let conflicts = join_all(told.map(|entry| until_no_repeat(&pool, entry))).await;
        assert_eq!(conflicts.iter().filter(|conflict| **conflict).count(), 1, "round {round}");
    }
    invariants::hold(&pool).await;
}

/// Settles as the batcher does, and says whether it was a conflict.
async fn until_no_repeat(pool: &PgPool, entry: [Entry; 1]) -> bool {
    loop {
        match settle(pool, RETRY, &entry).await {
            Ok(batch) => return matches!(batch.answers[..], [Settled::Attempt(AttemptOutcome { conflict: true, .. })]),
            Err(crate::Error::Repeat(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}
