//! Jobs that somebody else sends, in the tables and beside those that are sent here.

use super::*;
use crate::{
    Store,
    looks::{Stage, claim_due},
    settle::{Disposition, KeptCause, settle},
    tests::fixture::*,
};
use chrono::{DateTime, Utc};
use domain::CredentialId;
use sqlx::PgPool;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

fn told() -> Told {
    Told {
        job: JobId(crate::fresh_id()),
        attempt: AttemptId(crate::fresh_id()),
        project: ME,
        model: "fal-ai/flux/dev".to_owned(),
        tags: vec!["spring".to_owned()],
        metadata: serde_json::json!({ "order": "4711" }),
        idempotency: None,
    }
}

fn a_url(expires_at: Option<DateTime<Utc>>) -> NewMint {
    NewMint { told: told(), expires_at, expires_within: (Duration::from_mins(1), DAY), timeouts: TIMEOUTS }
}

fn a_request(request_id: &str) -> NewAdoption {
    NewAdoption {
        told: told(),
        request_id: request(request_id),
        timeouts: TIMEOUTS,
        asked: Some(CredentialId::DEFAULT),
    }
}

async fn minted(store: &Store, new: &NewMint) -> Minted {
    match mint(store, new).await.unwrap() {
        Mint::Made(minted) => minted,
        other => panic!("nothing was minted: {other:?}"),
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_tables_refuse_to_have_it_sent(pool: PgPool) {
    let store = store(&pool);
    minted(&store, &a_url(None)).await;
    for change in [
        "update falconer.jobs set state = 'queued'",
        "update falconer.jobs set state = 'scheduled'",
        "update falconer.jobs set attempts_max = 2",
        "update falconer.jobs set input = '{}'",
        "update falconer.attempts set request_id = 'r-1', bound_by = 'submit'",
    ] {
        assert!(sqlx::query(change).execute(&pool).await.is_err(), "{change}");
    }
    assert_eq!(claim_up_to(&store, 10, 10).await.len(), 0);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_url_may_expire_within_its_bounds_alone(pool: PgPool) {
    let store = store(&pool);
    let now = store.now().await.unwrap();
    for ahead in [Duration::ZERO, Duration::from_secs(50), DAY + Duration::from_mins(1)] {
        assert_eq!(mint(&store, &a_url(Some(now + ahead))).await.unwrap(), Mint::ExpiresTooSoonOrLate, "{ahead:?}");
    }
    assert_eq!(mint(&store, &a_url(Some(now - DAY))).await.unwrap(), Mint::ExpiresTooSoonOrLate);
    assert_eq!(count(&pool, "select count(*) from falconer.jobs").await, 0);

    let soon = a_url(Some(now + Duration::from_mins(2)));
    let made = minted(&store, &soon).await;
    assert!(soon.expires_at.is_some_and(|at| (at - made.expires_at).num_microseconds().unwrap().abs() < 2));
    let row = attempt_row(&pool, made.attempt).await;
    assert!(row.run_deadline - made.expires_at >= chrono::TimeDelta::from_std(TIMEOUTS.run).unwrap());
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_url_is_looked_at_when_it_expires_or_when_a_callback_named_a_candidate(pool: PgPool) {
    let store = store(&pool);
    let quiet = minted(&store, &a_url(None)).await;
    let named = minted(&store, &a_url(None)).await;
    assert_eq!(claim_due(&store, 10, DAY).await.unwrap().len(), 0);

    let told = receive(&store, call(&store, named.attempt, "r-1", ok("{}")).await).await;
    assert_eq!(told, Disposition::Kept(KeptCause::UserUnpinned));
    let looks = claim_due(&store, 10, DAY).await.unwrap();
    let stage = Stage::Awaited { candidate: Some(request("r-1")) };
    assert_eq!(looks.iter().map(|look| (look.attempt, &look.stage)).collect::<Vec<_>>(), [(named.attempt, &stage)]);

    advance(&store, TIMEOUTS.abandon_after + Duration::from_secs(1)).await;
    let looks = claim_due(&store, 10, DAY).await.unwrap();
    let stage = Stage::Awaited { candidate: None };
    assert_eq!(looks.iter().map(|look| (look.attempt, &look.stage)).collect::<Vec<_>>(), [(quiet.attempt, &stage)]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_url_takes_no_place_and_an_adopted_request_takes_one(pool: PgPool) {
    let store = store(&pool);
    minted(&store, &a_url(None)).await;
    for _ in 0..2 {
        accepted(&store, a_job()).await;
    }
    assert_eq!(claim_up_to(&store, 1, 10).await.len(), 1);
    adopt(&store, &a_request("r-1")).await.unwrap();
    assert_eq!(claim_up_to(&store, 2, 10).await.len(), 0, "one that we sent and one that we adopted");
    assert_eq!(claim_up_to(&store, 3, 10).await.len(), 1);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_others_sent_tells_nothing_of_a_models_pace(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let url = minted(&store, &a_url(None)).await;
    let sent = submitted(&store, a_job(), "r-2").await;
    advance(&store, Duration::from_hours(2)).await;
    let mut entries = Vec::new();
    for (attempt, request_id) in [(url.attempt, "r-1"), (sent.attempt, "r-2")] {
        entries.push(crate::settle::Entry::Callback(Box::new(call(&store, attempt, request_id, ok("{}")).await)));
    }
    let batch = settle(&pool, RETRY, &entries).await.unwrap();
    assert_eq!(batch.effects.jobs_ended, 2);
    assert_eq!(batch.effects.latencies.len(), 1);

    adopt(&store, &a_request("r-3")).await.unwrap();
    let adopted = a_request("r-3");
    assert!(matches!(adopt(&store, &adopted).await.unwrap(), Adopted::Taken(Accepted::Replayed(_))));
    let attempt: uuid::Uuid =
        sqlx::query_scalar("select attempt_id from falconer.request_bindings where request_id = 'r-3'")
            .fetch_one(&pool)
            .await
            .unwrap();
    let found =
        evidence(AttemptId(attempt), domain::AttemptEvent::ResultOk(request("r-3")), crate::settle::Source::Poll);
    let batch = settle(&pool, RETRY, &[crate::settle::Entry::Attempt(Box::new(found))]).await.unwrap();
    assert_eq!((batch.effects.jobs_ended, batch.effects.found_by_look), (1, 0));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_second_request_with_one_url_is_a_conflict_and_a_second_with_our_own_is_refused(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let url = minted(&store, &a_url(None)).await;
    let sent = submitted(&store, a_job(), "r-0").await;
    assert_eq!(receive(&store, call(&store, url.attempt, "r-1", ok("{}")).await).await, Disposition::Applied);
    let again = receive(&store, call(&store, url.attempt, "r-2", ok("{}")).await).await;
    assert_eq!(again, Disposition::Kept(KeptCause::Conflict));
    let owned = receive(&store, call(&store, minted(&store, &a_url(None)).await.attempt, "r-0", ok("{}")).await).await;
    assert_eq!(owned, Disposition::Kept(KeptCause::Conflict), "it is another attempt's");
    let strange = receive(&store, call(&store, sent.attempt, "r-3", ok("{}")).await).await;
    assert_eq!(strange.names(), ("rejected", Some("wrong_request")));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn fal_need_not_be_asked_about_what_is_held_already(pool: PgPool) {
    let store = store(&pool);
    let new = a_request("r-1");
    assert_eq!(must_ask(&store, &new.told, &new.request_id).await.unwrap(), Some(CredentialId::DEFAULT));
    let made = adopt(&store, &new).await.unwrap();
    assert_eq!(must_ask(&store, &told(), &request("r-1")).await.unwrap(), None);

    let other = Told { project: another_project(&store).await, ..told() };
    assert_eq!(
        must_ask(&store, &other, &request("r-1")).await.unwrap(),
        Some(CredentialId::DEFAULT),
        "it tells nothing"
    );
    let theirs = NewAdoption { told: other, ..a_request("r-1") };
    assert_eq!(adopt(&store, &theirs).await.unwrap(), Adopted::NotOurs);
    let unasked = NewAdoption { asked: None, ..a_request("r-9") };
    assert_eq!(adopt(&store, &unasked).await.unwrap(), Adopted::AskAgain);
    assert_eq!(count(&pool, "select count(*) from falconer.jobs").await, 1);
    assert_eq!(made, Adopted::Taken(Accepted::Created(new.told.job)));
}
