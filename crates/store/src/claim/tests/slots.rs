//! Places at fal: never more open attempts than the account holds.

use crate::{
    Store,
    accept::NewJob,
    claim::Claimed,
    pools::PoolSizes,
    tests::{fixture::*, invariants},
};
use domain::{AttemptEvent, AttemptId, CredentialId, Priority};
use futures::future::join_all;
use sqlx::PgPool;
use std::time::Duration;

const OPEN: &str = "select count(*) from falconer.attempts where state in ('submitting', 'unknown', 'submitted')";

const PLACES: u32 = 5;

/// Hands in a job that overtakes those before it, and claims up to three.
async fn push_and_claim(store: &Store, n: u8) -> Vec<Claimed> {
    accepted(store, NewJob { priority: Priority::new(n.into()).unwrap(), ..a_job() }).await;
    claim_up_to(store, PLACES, 1 + usize::from(n % 3)).await
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn eight_claimers_at_once_never_exceed_the_places(pool: PgPool) {
    let sizes = PoolSizes { callbacks: 1, api: 8, work: 8, maintenance: 1 };
    let store = Store::open(&pool.connect_options(), sizes);
    let (mut open, mut claims) = (Vec::new(), 0);
    for round in 0..200 {
        // Each claimer sees a job that the one before did not, so that they do not keep out of each other's way by
        // wanting the same rows.
        let batches = join_all((0..8).map(|n| push_and_claim(&store, n))).await;
        open.extend(batches.into_iter().flatten());
        let counted = count(&pool, OPEN).await;
        assert_eq!(counted, i64::try_from(open.len()).unwrap());
        assert!(counted <= i64::from(PLACES), "round {round}: {counted} are open");
        // Some rounds leave the places full, so that the next one finds no room.
        for claimed in open.drain(..usize::min(open.len(), round % 6)) {
            claims += 1;
            decide(&store, &claimed, AttemptEvent::Refused(LASTING)).await;
        }
    }
    assert!(claims > 200, "only {claims} attempts were made");
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn two_accounts_have_their_own_places(pool: PgPool) {
    let store = store(&pool);
    let second = another_credential(&pool).await;
    for credential in [CredentialId::DEFAULT, second] {
        let job = || NewJob { credential: Some(credential), ..a_job() };
        handed_in(&store, &[job(), job(), job()]).await;
    }
    assert_eq!(claim_up_to(&store, 2, 10).await.len(), 2);
    let theirs = claim_of(&store, second, 2, 10).await;
    assert_eq!(theirs.len(), 2, "the first account's attempts take none of its places");
    assert!(theirs.iter().all(|claimed| claimed.credential == second));
    assert!(claim_up_to(&store, 2, 10).await.is_empty());
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_claim_of_one_account_does_not_hold_up_another(pool: PgPool) {
    let store = store(&pool);
    let second = another_credential(&pool).await;
    accepted(&store, a_job()).await;
    accepted(&store, NewJob { credential: Some(second), ..a_job() }).await;
    let mut claiming = pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('falconer.claim:' || $1::text, 0))")
        .bind(CredentialId::DEFAULT.0.to_string())
        .execute(&mut *claiming)
        .await
        .unwrap();

    assert!(claim_up_to(&store, 10, 10).await.is_empty(), "somebody claims for it at this moment");
    assert_eq!(claim_of(&store, second, 10, 10).await.len(), 1);
    claiming.rollback().await.unwrap();
    assert_eq!(claim_up_to(&store, 10, 10).await.len(), 1);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_unknown_attempt_holds_its_place_until_its_run_must_be_over(pool: PgPool) {
    let store = store(&pool);
    unknown(&store, a_job()).await;
    accepted(&store, a_job()).await;

    advance(&store, Duration::from_mins(69)).await;
    assert!(claim_up_to(&store, 1, 1).await.is_empty(), "fal may be running it");
    advance(&store, Duration::from_mins(2)).await;
    assert_eq!(claim_up_to(&store, 1, 1).await.len(), 1);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_submitted_attempt_holds_its_place_until_fal_has_ended_it(pool: PgPool) {
    let store = store(&pool);
    let claimed = submitted(&store, a_job(), "r-1").await;
    accepted(&store, a_job()).await;
    advance(&store, Duration::from_hours(2)).await;
    assert!(claim_up_to(&store, 1, 1).await.is_empty());
    learn(&store, claimed.attempt, AttemptEvent::ResultOk(request("r-1"))).await;
    assert_eq!(claim_up_to(&store, 1, 1).await.len(), 1);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn no_more_is_claimed_than_there_are_fresh_ids(pool: PgPool) {
    let store = store(&pool);
    handed_in(&store, &[a_job(), a_job(), a_job()]).await;
    assert_eq!(claim_up_to(&store, 100, 2).await.len(), 2);
    assert!(claim_up_to(&store, 100, 0).await.is_empty());
    let attempts: Vec<AttemptId> = claim_up_to(&store, 100, 2).await.iter().map(|claimed| claimed.attempt).collect();
    assert_eq!(attempts.len(), 1);
}
