//! Which attempts are looked at, and when.

use super::*;
use crate::accept::NewJob;
use crate::settle::{AttemptNews, Guard, Source};
use crate::tests::fixture::*;
use domain::AttemptEvent;
use sqlx::PgPool;

const HOLD: Duration = Duration::from_secs(75);

async fn due(store: &Store) -> Vec<AttemptId> {
    claim_due(store, 100, HOLD).await.unwrap().into_iter().map(|look| look.attempt).collect()
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_submitting_attempt_is_looked_at_only_after_its_lease(pool: PgPool) {
    let store = store(&pool);
    let claimed = opened(&store, a_job()).await;
    run(&pool, "update falconer.attempts set next_look_at = falconer.now()").await;
    assert_eq!(due(&store).await, [], "somebody holds it");
    assert_eq!(count_due(&store, 10).await.unwrap(), 0);
    advance(&store, TIMEOUTS.lease).await;
    assert_eq!(count_due(&store, 10).await.unwrap(), 1);
    let looks = claim_due(&store, 10, HOLD).await.unwrap();
    assert_eq!((looks[0].attempt, &looks[0].stage), (claimed.attempt, &Stage::LeaseRanOut));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_longest_overdue_come_first_and_the_ended_never(pool: PgPool) {
    let store = store(&pool);
    let mut attempts = Vec::new();
    for n in 0..4 {
        attempts.push(submitted(&store, a_job(), &format!("r-{n}")).await.attempt);
        advance(&store, Duration::from_secs(1)).await;
    }
    find(&store, attempts[0], AttemptEvent::ResultOk(request("r-0"))).await;
    for attempt in &attempts[1..] {
        let looks = claim_due(&store, 1, HOLD).await.unwrap();
        assert_eq!(looks.iter().map(|look| look.attempt).collect::<Vec<_>>(), [*attempt]);
        assert!(looks[0].late_seconds > 0.0);
    }
    assert_eq!(due(&store).await, []);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_look_pushes_its_row_back_and_a_dead_lookers_row_comes_again(pool: PgPool) {
    let store = store(&pool);
    let claimed = submitted(&store, a_job(), "r-1").await;
    assert_eq!(due(&store).await, [claimed.attempt]);
    assert_eq!(due(&store).await, []);
    advance(&store, HOLD).await;
    let again = claim_due(&store, 10, HOLD).await.unwrap().remove(0);
    assert_eq!((again.attempt, again.looks), (claimed.attempt, 1));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn three_lookers_at_once_look_at_each_attempt_once(pool: PgPool) {
    let store = store(&pool);
    for n in 0..12 {
        submitted(&store, a_job(), &format!("r-{n}")).await;
    }
    for round in 1..=20 {
        let looks = futures::future::join_all((0..3).map(|_| claim_due(&store, 100, HOLD))).await;
        let mut attempts: Vec<AttemptId> =
            looks.into_iter().flat_map(|looks| looks.unwrap()).map(|look| look.attempt).collect();
        attempts.sort_unstable();
        attempts.dedup();
        assert_eq!(attempts.len(), 12, "round {round}");
        let looks = count(&pool, "select sum(looks) from falconer.attempts").await;
        assert_eq!(looks, 12 * round, "round {round}");
        advance(&store, HOLD).await;
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_a_look_found_says_when_the_next_one_is(pool: PgPool) {
    let store = store(&pool);
    let claimed = submitted(&store, a_job(), "r-1").await;
    due(&store).await;
    let wait = Duration::from_secs(5);
    let nothing = AttemptNews::of(claimed.attempt, None, Guard::Evidence, Source::Poll);
    tell(&store, AttemptNews { next_look: Some(wait), ..nothing }).await;
    let next = next_due_in(&store).await.unwrap().unwrap();
    assert!(next <= wait && next > wait / 2, "{next:?}");
    advance(&store, wait).await;
    assert_eq!(due(&store).await, [claimed.attempt]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_poke_during_a_look_is_not_overridden_by_what_the_look_says(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    due(&store).await;
    let poke = crate::settle::Said::Unusable(crate::settle::KeptCause::NullPayload);
    receive(&store, call(&store, claimed.attempt, "r-1", poke).await).await;

    let nothing = AttemptNews::of(claimed.attempt, None, Guard::Evidence, Source::Poll);
    tell(&store, AttemptNews { next_look: Some(Duration::from_hours(1)), ..nothing }).await;
    assert_eq!(due(&store).await, [claimed.attempt]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_unknown_attempt_comes_with_what_it_can_be_found_by(pool: PgPool) {
    let store = store(&pool);
    let claimed = unknown(&store, NewJob { mints_seed: true, ..a_job() }).await;
    receive(&store, call(&store, claimed.attempt, "r-1", ok("{}")).await).await;
    let look = claim_due(&store, 10, HOLD).await.unwrap().remove(0);
    let input = br#"{"prompt": "a lighthouse"}"#.to_vec();
    assert_eq!(look.stage, Stage::Unknown { candidate: Some(request("r-1")), seed: Some(7), input });
    assert_eq!(look.version, attempt_row(&pool, claimed.attempt).await.version);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_look_knows_that_the_end_is_wished_for(pool: PgPool) {
    let store = store(&pool);
    let claimed = submitted(&store, a_job(), "r-1").await;
    cancel(&store, claimed.job).await;
    let look = claim_due(&store, 10, HOLD).await.unwrap().remove(0);
    assert!(look.cancel_wanted);
    assert_eq!(look.stage, Stage::Submitted { request_id: request("r-1") });
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_is_handed_back_is_due_at_once(pool: PgPool) {
    let store = store(&pool);
    let claimed = submitted(&store, a_job(), "r-1").await;
    due(&store).await;
    hand_back(&store, &[(claimed.job, claimed.attempt)]).await.unwrap();
    assert_eq!(due(&store).await, [claimed.attempt]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_bound_request_id_is_known_as_such(pool: PgPool) {
    let store = store(&pool);
    submitted(&store, a_job(), "r-1").await;
    let ids = ["r-1".to_owned(), "r-2".to_owned()];
    assert_eq!(bound_among(&store, CredentialId::DEFAULT, &ids).await.unwrap(), ["r-1"]);
    let elsewhere = another_credential(&pool).await;
    assert!(bound_among(&store, elsewhere, &ids).await.unwrap().is_empty(), "ids belong to an account");
}
