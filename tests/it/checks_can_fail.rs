//! A check that cannot fail proves nothing: each is shown a database that was broken for it.

use reqwest::Method;
use std::collections::BTreeSet;
use testkit::{World, invariants, truth};

/// What must be noticed, and how the database is broken for it. Applied one after the other.
const BREAKS: [(&str, &str); 17] = [
    ("I22", "update falconer.idempotency_keys set job_id = gen_random_uuid()"),
    ("I26", "update falconer.jobs set created_at = finished_at + interval '1 minute'"),
    ("I26", "update falconer.attempts set submitted_at = finished_at + interval '1 minute'"),
    ("counts", "update falconer.jobs set attempts_opened = attempts_opened + 1"),
    ("I16", "delete from falconer.ledger"),
    ("I30", "update falconer.attempts set superseded_ok_at = falconer.now()"),
    ("I10", "update falconer.results set body = 'other'"),
    ("I11", "update falconer.events set xact = pg_current_xact_id()"),
    ("I11", "delete from falconer.events"),
    ("I21", "delete from falconer.callbacks"),
    ("I07", "delete from falconer.request_bindings"),
    ("I07", "update falconer.attempts set request_id = 'one for all'"),
    ("I04", "update falconer.transitions set attempt_to = 'abandoned' where event = 'claimed'"),
    ("I04", "update falconer.jobs set version = version + 1"),
    ("I03", "drop index falconer.transitions_one_end; update falconer.transitions set job_to = 'failed'"),
    ("I09", "delete from falconer.results"),
    ("I02", "update falconer.jobs set state = 'running', finished_at = null, winner = null"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_check_notices_what_it_is_there_for() {
    let world = World::start().await;
    let ids = world.submit_many(3, "an owl").await;
    let job = r#"{"model": "fal-ai/flux/schnell", "input": {"prompt": "an owl"}}"#;
    world.call(Method::POST, "/v1/jobs", &[("idempotency-key", "k")], job).await;
    world.drain_and_check().await;

    let mut noticed = BTreeSet::new();
    for (id, statement) in BREAKS {
        sqlx::raw_sql(statement).execute(world.db()).await.unwrap();
        let mut broken = invariants::broken(world.db(), &invariants::after_drain()).await.unwrap();
        broken.extend(truth::broken(world.db(), world.sim(), &ids, &[]).await.unwrap());
        assert!(broken.iter().any(|broken| broken.id == id), "{statement}: {broken:#?}");
        noticed.insert(id);
    }
    // Rows that are missing altogether.
    sqlx::raw_sql("delete from falconer.jobs; delete from falconer.attempts").execute(world.db()).await.unwrap();
    let broken = truth::broken(world.db(), world.sim(), &ids, &[]).await.unwrap();
    let found: BTreeSet<&str> = broken.iter().map(|broken| broken.id).collect();
    assert!(found.is_superset(&BTreeSet::from(["I01", "I18"])), "{broken:#?}");
    noticed.extend(["I01", "I18"]);

    let refused_by_the_schema = BTreeSet::from(["I05", "I08"]);
    let known: BTreeSet<&str> = invariants::after_drain().iter().map(|invariant| invariant.id).collect();
    let unproved: Vec<_> = known.difference(&noticed).filter(|id| !refused_by_the_schema.contains(*id)).collect();
    assert!(unproved.is_empty(), "no break for {unproved:?}");
}
