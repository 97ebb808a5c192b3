//! The schema itself.

use super::fixture::*;
use domain::{ErrorClass, OnUnknown, table};
use sqlx::PgPool;
use std::collections::BTreeSet;

async fn names(pool: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn every_instant_has_its_time_zone(pool: PgPool) {
    // What fal signed is kept as fal wrote it: seconds.
    let instants = "select table_name || '.' || column_name || ' ' || data_type from information_schema.columns
        where table_schema = 'falconer' and table_name !~ '_migrations'
          and (data_type like 'timestamp%' or data_type in ('date', 'time') or column_name ~ '_at$')
          and column_name <> 'signed_at'";
    let found = names(&pool, instants).await;
    assert!(found.len() > 30, "{found:?}");
    for instant in found {
        assert!(instant.ends_with("timestamp with time zone"), "{instant}");
    }
}

/// The texts that a CHECK of `table` allows `column`.
async fn allowed(pool: &PgPool, table: &str, column: &str) -> BTreeSet<String> {
    let checks: Vec<String> = sqlx::query_scalar(
        "select pg_get_constraintdef(oid) from pg_constraint
         where contype = 'c' and conrelid = ('falconer.' || $1)::regclass and conname = $1 || '_' || $2 || '_check'",
    )
    .bind(table)
    .bind(column)
    .fetch_all(pool)
    .await
    .unwrap();
    assert_eq!(checks.len(), 1, "{table}.{column}");
    checks[0].split('\'').skip(1).step_by(2).map(str::to_owned).collect()
}

fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn checks_and_code_know_the_same_names(pool: PgPool) {
    let (jobs, attempts) = (table::allowed_job_pairs(), table::allowed_attempt_pairs());
    assert_eq!(allowed(&pool, "jobs", "state").await, set(jobs.iter().flat_map(|pair| [pair.0, pair.1])));
    assert_eq!(allowed(&pool, "attempts", "state").await, set(attempts.iter().flat_map(|pair| [pair.0, pair.1])));
    let policies = [OnUnknown::Patient, OnUnknown::Impatient, OnUnknown::Operator].map(OnUnknown::as_str);
    assert_eq!(allowed(&pool, "jobs", "on_unknown").await, set(policies));
    for (table, column) in [("jobs", "error_charged"), ("attempts", "charged")] {
        assert_eq!(allowed(&pool, table, column).await, set(["no", "perhaps", "yes"]), "{table}");
    }
    assert_eq!(allowed(&pool, "attempts", "bound_by").await, set(["submit", "callback", "history", "adopt"]));
    assert_eq!(allowed(&pool, "callbacks", "disposition").await, set(["applied", "duplicate", "kept", "rejected"]));
    assert!(ErrorClass::ALL.iter().all(|class| class.as_str().len() < 64));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn every_foreign_key_has_an_index_that_begins_with_it(pool: PgPool) {
    let bare = "select conrelid::regclass || ' ' || conname from pg_constraint c
        where contype = 'f' and connamespace = 'falconer'::regnamespace
          and not exists (
              select from pg_index i where i.indrelid = c.conrelid and i.indpred is null
                and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] operator(pg_catalog.@>) c.conkey)";
    assert_eq!(names(&pool, bare).await, Vec::<String>::new());
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn open_work_is_found_by_partial_indexes(pool: PgPool) {
    for (index, columns, part) in [
        ("jobs_ready", "(lane_id, claim_key, run_at)", "queued"),
        ("attempts_due", "(next_look_at)", "submitting"),
        ("jobs_scheduled", "(run_at)", "scheduled"),
    ] {
        let sql = "select indexdef from pg_indexes where schemaname = 'falconer' and indexname = $1";
        let found: String = sqlx::query_scalar(sql).bind(index).fetch_one(&pool).await.unwrap();
        assert!(found.contains(columns) && found.contains(part) && found.contains("WHERE"), "{found}");
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn time_moves_for_everybody_at_once(pool: PgPool) {
    let store = store(&pool);
    let before = store.now().await.unwrap();
    advance(&store, std::time::Duration::from_hours(5)).await;
    let after = store.now().await.unwrap();
    assert!(after - before >= chrono::TimeDelta::hours(5));
}
