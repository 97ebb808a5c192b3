//! A check that cannot fail proves nothing: each is shown a database that was broken for it.

use reqwest::Method;
use std::collections::BTreeSet;
use testkit::{World, invariants, truth};

/// What must be noticed, and how the database is broken for it. Applied one after the other.
const BREAKS: [(&str, &str); 20] = [
    ("I17", "update falconer.transitions set detail = 'rewritten'"),
    ("I24", "update falconer.job_events set project_id = gen_random_uuid()"),
    ("I25", "update falconer.jobs set regenerated_from = id"),
    ("I22", "update falconer.idempotency_keys set job_id = gen_random_uuid()"),
    ("I26", "update falconer.jobs set created_at = finished_at + interval '1 minute'"),
    ("I26", "update falconer.attempts set submitted_at = finished_at + interval '1 minute'"),
    ("counts", "update falconer.jobs set attempts_opened = attempts_opened + 1"),
    ("I16", "delete from falconer.ledger"),
    ("I30", "update falconer.attempts set superseded_ok_at = falconer.now()"),
    ("I10", "update falconer.results set body = 'other'"),
    ("I11", "update falconer.job_events set xact = pg_current_xact_id()"),
    ("I11", "delete from falconer.job_events"),
    ("I21", "delete from falconer.callbacks"),
    ("I07", "delete from falconer.request_bindings"),
    ("I07", "update falconer.attempts set request_id = 'one for all'"),
    ("I04", "update falconer.transitions set attempt_to = 'abandoned' where event = 'claimed'"),
    ("I04", "update falconer.jobs set version = version + 1"),
    ("I03", "drop index falconer.transitions_one_end; update falconer.transitions set job_to = 'failed'"),
    ("I09", "delete from falconer.results"),
    ("I02", "update falconer.jobs set state = 'running', finished_at = null, winner = null"),
];

/// What stays undone when nobody is left who would do it.
const OVERDUE: &str = "update falconer.attempts set state = 'submitting', finished_at = null,
    next_look_at = falconer.now() - interval '2 minutes', lease_until = falconer.now() - interval '2 minutes'";

#[tokio::test(flavor = "multi_thread")]
async fn every_check_notices_what_it_is_there_for() {
    let mut world = World::start().await;
    let ids = world.submit_many(3, "an owl").await;
    let job = r#"{"model": "fal-ai/flux/schnell", "input": {"prompt": "an owl"}}"#;
    world.call(Method::POST, "/v1/jobs", &[("idempotency-key", "k")], job).await;
    world.drain_and_check().await;
    world.kill_9().await;

    let mut noticed = BTreeSet::new();
    for (id, statement) in BREAKS {
        sqlx::raw_sql(statement).execute(world.db()).await.unwrap();
        let mut broken = invariants::broken(world.db(), &invariants::after_drain()).await.unwrap();
        broken.extend(truth::broken(world.db(), world.sim(), &ids, &[]).await.unwrap());
        assert!(broken.iter().any(|broken| broken.id == id), "{statement}: {broken:#?}");
        noticed.insert(id);
    }
    sqlx::raw_sql(OVERDUE).execute(world.db()).await.unwrap();
    let broken = invariants::broken(world.db(), &invariants::always()).await.unwrap();
    let found: BTreeSet<&str> = broken.iter().map(|broken| broken.id).collect();
    assert!(found.is_superset(&BTreeSet::from(["I06", "I27"])), "{broken:#?}");
    noticed.extend(["I06", "I27"]);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_noticed_in_every_kind_of_column_and_in_a_log() {
    let world = World::start().await;
    world.submit_prompt("an owl").await;
    world.drain_and_check().await;
    let secret = [String::from("a secret like no other text")];
    let kept = async |log: &str| invariants::kept_secrets(world.db(), &[log.to_owned()], &secret).await.unwrap();
    assert!(kept("nothing of it").await.is_empty());

    let logged = kept("he said: a secret like no other text").await;
    assert!(logged[0].rows[0].starts_with("the log: "), "{logged:?}");
    for column in ["input = convert_to($1, 'UTF8')", "metadata = jsonb_build_object('a', $1)", "tags = array[$1]"] {
        let statement = format!("update falconer.jobs set {column}");
        sqlx::query(sqlx::AssertSqlSafe(statement)).bind(&secret[0]).execute(world.db()).await.unwrap();
        assert_eq!(kept("").await[0].rows, ["the table falconer.jobs"], "{column}");
        sqlx::raw_sql("update falconer.jobs set input = '', metadata = '{}', tags = '{}'")
            .execute(world.db())
            .await
            .unwrap();
    }
}
