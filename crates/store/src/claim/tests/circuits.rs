//! While fal refuses a key or a model keeps failing, nothing is claimed; then one job shows whether that is over.

use super::of_model;
use crate::{
    Store,
    accept::NewJob,
    circuits::{self, Trouble},
    claim::Claimed,
    settle::{AttemptNews, Guard, Source},
    tests::fixture::*,
};
use domain::{AttemptEvent, Charged, CredentialId, ErrorClass, Failure};
use sqlx::PgPool;
use std::time::Duration;

const MODEL: &str = "fal-ai/flux/dev";
const PAUSE: Duration = Duration::from_secs(10);

fn trouble(model: &str, pause: Duration) -> Trouble {
    Trouble { credential: CredentialId::DEFAULT, model: model.to_owned(), cause: "refused".to_owned(), pause }
}

fn pushed_back(claimed: &Claimed, trouble: Trouble) -> AttemptNews {
    let event = AttemptEvent::PushedBack { class: ErrorClass::Credential };
    let guard = Guard::Lease { fence: claimed.fence };
    AttemptNews { trouble: Some(trouble), ..AttemptNews::of(claimed.attempt, Some(event), guard, Source::Submit) }
}

/// A lane of six whose first attempt met `trouble`.
async fn with_trouble(pool: &PgPool, trouble: Trouble) -> Store {
    let store = store(pool);
    handed_in(&store, &[a_job(), a_job(), a_job(), a_job(), a_job(), a_job()]).await;
    let first = claim_up_to(&store, 10, 1).await.remove(0);
    tell(&store, pushed_back(&first, trouble)).await;
    store
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_open_circuit_of_the_key_stops_every_model(pool: PgPool) {
    let store = with_trouble(&pool, trouble("", PAUSE)).await;
    accepted(&store, of_model("fal-ai/other")).await;
    assert!(claim_up_to(&store, 10, 10).await.is_empty());
    assert_eq!(count(&pool, "select attempts_made::bigint from falconer.jobs order by id limit 1").await, 0);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_open_circuit_of_a_model_stops_that_model_alone(pool: PgPool) {
    let store = with_trouble(&pool, trouble(MODEL, PAUSE)).await;
    let other = accepted(&store, of_model("fal-ai/other")).await;
    let jobs: Vec<_> = claim_up_to(&store, 10, 10).await.into_iter().map(|claimed| claimed.job).collect();
    assert_eq!(jobs, [other]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_half_open_circuit_lets_exactly_one_through(pool: PgPool) {
    for model in ["", MODEL] {
        let store = with_trouble(&pool, trouble(model, PAUSE)).await;
        let other = another_project(&store).await;
        handed_in(&store, &[NewJob { project: other, ..a_job() }, NewJob { project: other, ..a_job() }]).await;
        advance(&store, PAUSE).await;

        let probe = claim_up_to(&store, 10, 10).await;
        assert_eq!(probe.len(), 1, "{model:?}: two lanes share the one probe");
        assert!(claim_up_to(&store, 10, 10).await.is_empty(), "{model:?}: its answer is awaited");
        learn(&store, probe[0].attempt, AttemptEvent::Bound(request(&format!("r-{model}")))).await;
        assert_eq!(circuits::list(&store).await.unwrap().len(), 0, "{model:?}: fal takes work again");
        assert!(claim_up_to(&store, 10, 10).await.len() > 1);
        run(&pool, "delete from falconer.attempts").await;
        run(&pool, "delete from falconer.jobs").await;
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_probe_that_fails_opens_the_circuit_again_for_its_pause(pool: PgPool) {
    let store = with_trouble(&pool, trouble("", PAUSE)).await;
    advance(&store, PAUSE).await;
    let probe = claim_up_to(&store, 10, 10).await.remove(0);
    tell(&store, pushed_back(&probe, trouble("", PAUSE))).await;
    assert!(claim_up_to(&store, 10, 10).await.is_empty());
    advance(&store, PAUSE).await;
    assert_eq!(claim_up_to(&store, 10, 10).await.len(), 1, "the lease of the last probe is not waited for");
    assert_eq!(circuits::list(&store).await.unwrap()[0].failures, 2);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_probe_without_an_answer_is_followed_by_the_next_when_its_lease_ends(pool: PgPool) {
    let store = with_trouble(&pool, trouble("", PAUSE)).await;
    advance(&store, PAUSE).await;
    assert_eq!(claim_up_to(&store, 10, 10).await.len(), 1);
    advance(&store, TIMEOUTS.lease).await;
    assert_eq!(claim_up_to(&store, 10, 10).await.len(), 1);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_fal_asked_us_to_wait_is_not_cut_short_by_what_was_under_way(pool: PgPool) {
    let store = store(&pool);
    handed_in(&store, &[a_job(), a_job(), a_job(), a_job()]).await;
    let batch = claim_up_to(&store, 10, 3).await;
    let asked = Duration::from_mins(1);
    let news = pushed_back(&batch[0], trouble("", asked));
    tell(&store, AttemptNews { retry_after: Some(asked), ..news }).await;
    tell(&store, pushed_back(&batch[1], trouble("", Duration::from_secs(1)))).await;
    learn(&store, batch[2].attempt, AttemptEvent::Bound(request("r-1"))).await;
    advance(&store, Duration::from_secs(59)).await;
    assert!(claim_up_to(&store, 10, 10).await.is_empty());
    advance(&store, Duration::from_secs(1)).await;
    assert_eq!(claim_up_to(&store, 10, 10).await.len(), 1);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_success_closes_what_fal_did_not_ask_for(pool: PgPool) {
    let store = store(&pool);
    handed_in(&store, &[a_job(), a_job(), a_job()]).await;
    let both = claim_up_to(&store, 10, 2).await;
    tell(&store, pushed_back(&both[0], trouble("", PAUSE))).await;
    learn(&store, both[1].attempt, AttemptEvent::Bound(request("r-1"))).await;
    assert_eq!(circuits::list(&store).await.unwrap().len(), 0, "one lost connection is no outage");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn of_two_troubles_in_one_batch_the_longer_pause_counts(pool: PgPool) {
    let store = store(&pool);
    handed_in(&store, &[a_job(), a_job(), a_job()]).await;
    let both = claim_up_to(&store, 10, 2).await;
    let long = Trouble { cause: "b".to_owned(), ..trouble("", Duration::from_mins(1)) };
    let short = Trouble { cause: "a".to_owned(), ..trouble("", Duration::from_secs(1)) };
    let entries = [pushed_back(&both[0], short), pushed_back(&both[1], long)];
    settle_all(&store, &entries.map(|news| crate::settle::Entry::Attempt(Box::new(news)))).await;
    let circuit = circuits::list(&store).await.unwrap().remove(0);
    assert!(circuit.open_until - circuit.opened_at >= chrono::TimeDelta::seconds(60));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_answer_that_a_callback_overtook_closes_the_circuit_too(pool: PgPool) {
    let store = with_trouble(&pool, trouble("", PAUSE)).await;
    pin(&store).await;
    advance(&store, PAUSE).await;
    let probe = claim_up_to(&store, 10, 10).await.remove(0);
    receive(&store, call(&store, probe.attempt, "r-1", ok("{}")).await).await;
    let late = learn(&store, probe.attempt, AttemptEvent::Bound(request("r-1"))).await;
    assert!(!late.attempt_changed);
    assert_eq!(circuits::list(&store).await.unwrap().len(), 0);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_refused_input_shows_that_fal_serves_us_and_an_unsent_one_does_not(pool: PgPool) {
    let store = with_trouble(&pool, trouble("", PAUSE)).await;
    let refused = |class| AttemptEvent::Refused(Failure { class, charged: Charged::No });
    for (event, circuits) in
        [(AttemptEvent::NotSent, 1), (refused(ErrorClass::UnknownModel), 1), (refused(ErrorClass::Validation), 0)]
    {
        advance(&store, TIMEOUTS.lease).await;
        let probe = claim_up_to(&store, 10, 10).await.remove(0);
        decide(&store, &probe, event.clone()).await;
        assert_eq!(circuits::list(&store).await.unwrap().len(), circuits, "{event:?}");
    }
}
