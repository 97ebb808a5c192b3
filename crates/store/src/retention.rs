//! The past goes by partition, never row by row; only the small tables that outlive partitions are swept.

use crate::{Store, error::Result, events, rejected};
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::Duration;

/// Tables whose partitions hold everything of a week's jobs, and go together.
const OF_JOBS: [&str; 6] = ["jobs", "attempts", "results", "transitions", "job_events", "ledger"];

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Jobs and everything of theirs, once all jobs of their week have ended.
    pub jobs: Duration,
    pub callbacks: Duration,
    /// Which attempt a request id belongs to. fal may speak of one long after its job is gone, and lists its bills for 90
    /// days: a charge whose binding were gone by then would look like nobody's.
    pub bindings: Duration,
}

/// What a sweep has removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub partitions: Vec<String>,
    pub idempotency_keys: u64,
    pub unique_keys: u64,
    pub request_bindings: u64,
    pub rejected_callbacks: u64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self { jobs: DAY * 30, callbacks: DAY * 7, bindings: DAY * 100 }
    }
}

/// Makes the partitions of the coming three weeks. Answers how many were missing.
pub async fn ensure_partitions(store: &Store) -> Result<u64> {
    // Ids are minted by the processes' clocks, which a test's moved clock does not move.
    let made = sqlx::query_scalar!(
        r#"select falconer.ensure_partitions(
               least(clock_timestamp(), falconer.now()) - interval '1 day',
               greatest(clock_timestamp(), falconer.now()) + interval '3 weeks') as "made!""#
    )
    .fetch_one(&store.pools.maintenance)
    .await?;
    Ok(u64::from(made.unsigned_abs()))
}

/// Drops the partitions whose time is over, one transaction for each week or day. A week with an open job stays.
pub async fn drop_partitions(store: &Store, keep: &Retention) -> Result<Vec<String>> {
    let now = store.now().await?;
    let mut dropped = Vec::new();
    for (parent, tables, age) in [("jobs", &OF_JOBS[..], keep.jobs), ("callbacks", &["callbacks"][..], keep.callbacks)]
    {
        for (suffix, ends_at) in partitions(store, parent).await? {
            let is_over = (now - ends_at).to_std().is_ok_and(|since| since > age);
            if is_over && drop_one(store, parent, &suffix, tables).await? {
                dropped.extend(tables.iter().map(|table| format!("{table}_{suffix}")));
            }
        }
    }
    Ok(dropped)
}

/// Deletes keys and bindings whose time is over, up to `limit` of each. Counts these three alone.
pub async fn delete_expired(store: &Store, keep: &Retention, limit: u32) -> Result<Removed> {
    let limit = i64::from(limit);
    let mut tx = store.pools.maintenance.begin().await?;
    let idempotency_keys = sqlx::query!(
        "delete from falconer.idempotency_keys where ctid = any(array(
             select ctid from falconer.idempotency_keys where expires_at <= falconer.now()
             order by expires_at limit $1 for update skip locked))",
        limit,
    )
    .execute(&mut *tx)
    .await?;
    let unique_keys = sqlx::query!(
        "delete from falconer.unique_keys where ctid = any(array(
             select ctid from falconer.unique_keys where expires_at <= falconer.now()
             order by expires_at limit $1 for update skip locked))",
        limit,
    )
    .execute(&mut *tx)
    .await?;
    // A binding whose attempt is still there is kept, however old: it may be an open one.
    let request_bindings = sqlx::query!(
        "delete from falconer.request_bindings where ctid = any(array(
             select b.ctid from falconer.request_bindings b
             where b.bound_at <= falconer.now() - make_interval(secs => $2)
               and not exists (select from falconer.attempts a where a.job_id = b.job_id and a.id = b.attempt_id)
             order by b.bound_at limit $1 for update skip locked))",
        limit,
        keep.bindings.as_secs_f64(),
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Removed {
        partitions: Vec::new(),
        idempotency_keys: idempotency_keys.rows_affected(),
        unique_keys: unique_keys.rows_affected(),
        request_bindings: request_bindings.rows_affected(),
        rejected_callbacks: 0,
    })
}

/// Makes the coming partitions, drops the past ones, and sweeps the small tables. For a timer.
pub async fn run(store: &Store, keep: &Retention) -> Result<Removed> {
    const ROWS_AT_ONCE: u32 = 10_000;
    ensure_partitions(store).await?;
    let partitions = drop_partitions(store, keep).await?;
    let mut removed = delete_expired(store, keep, ROWS_AT_ONCE).await?;
    removed.partitions = partitions;
    removed.rejected_callbacks = rejected::prune(store).await?;
    Ok(removed)
}

/// Until when rows find a partition, in the table where that ends first. Nothing where a table has none.
pub async fn covered_until(store: &Store) -> Result<Option<DateTime<Utc>>> {
    let mut until: Option<DateTime<Utc>> = None;
    for table in OF_JOBS.into_iter().chain(["callbacks"]) {
        let Some((_, ends_at)) = partitions(store, table).await?.pop() else { return Ok(None) };
        until = Some(until.map_or(ends_at, |until| until.min(ends_at)));
    }
    Ok(until)
}

/// The date in each partition's name, and when its time ends.
async fn partitions(store: &Store, parent: &str) -> Result<Vec<(String, DateTime<Utc>)>> {
    let names = sqlx::query_scalar!(
        r#"select c.relname::text as "name!" from pg_inherits i
           join pg_class c on c.oid = i.inhrelid
           join pg_class p on p.oid = i.inhparent
           join pg_namespace n on n.oid = p.relnamespace
           where n.nspname = 'falconer' and p.relname = $1::text::name
           order by c.relname"#,
        parent,
    )
    .fetch_all(&store.pools.maintenance)
    .await?;
    let days = chrono::TimeDelta::days(if parent == "callbacks" { 1 } else { 7 });
    Ok(names
        .iter()
        .filter_map(|name| {
            // A partition that somebody attached by another name is not ours to drop.
            let suffix = name.strip_prefix(parent)?.strip_prefix('_')?;
            let starts = chrono::NaiveDate::parse_from_str(suffix, "%Y%m%d").ok()?.and_hms_opt(0, 0, 0)?;
            Some((suffix.to_owned(), starts.and_utc() + days))
        })
        .collect())
}

/// Drops the partitions of one week or day, unless a job of theirs is open.
async fn drop_one(store: &Store, parent: &str, suffix: &str, tables: &[&str]) -> Result<bool> {
    let mut tx = store.pools.maintenance.begin().await?;
    // Dropping waits for whoever reads the parent, and makes all others wait behind it: better try again later.
    sqlx::query!("set local lock_timeout = '2s'").execute(&mut *tx).await?;
    if parent == "jobs" && has_open_job(&mut tx, suffix).await? {
        return Ok(false);
    }
    let missed = if parent == "jobs" { events::note_missed(&mut tx, suffix).await? } else { 0 };
    for table in tables {
        // Both parts of the name are ours: a constant, and eight digits that were read as a date.
        let statement = format!("drop table if exists falconer.{table}_{suffix}");
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    if missed > 0 {
        metrics::counter!("falconer_events_missed_total").increment(missed);
        tracing::warn!(
            events = missed,
            week = suffix,
            "events were dropped before their consumers had acknowledged them"
        );
    }
    Ok(true)
}

async fn has_open_job(tx: &mut PgConnection, suffix: &str) -> Result<bool> {
    let statement = format!("select exists (select from falconer.jobs_{suffix} where finished_at is null)");
    Ok(sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(tx).await?)
}

#[cfg(test)]
mod tests;
