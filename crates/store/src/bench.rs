//! What a measurement asks of the database beside the work itself: databases to measure in, counters, and whether
//! everything is done. No role uses it.

mod searchable;
mod submitting;

pub use searchable::fill_searchable;
pub use submitting::submit_by_sql;

use crate::{Store, error::Result};
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// What a cluster has counted so far. Differences are what a measurement cost.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    /// Statements of this database, without BEGIN and COMMIT. Nothing where `pg_stat_statements` is not loaded.
    pub statements: Option<i64>,
    /// Bytes of WAL of the whole cluster.
    pub wal_bytes: i64,
    /// Of the connection that asked: a way to find the server's processes where it runs on this machine.
    pub backend_pid: i32,
}

/// Makes a database. `name` must be an identifier that needs no quotes.
pub async fn create_database(admin_url: &str, name: &str) -> Result<()> {
    let mut connection = PgConnection::connect(admin_url).await?;
    sqlx::query(AssertSqlSafe(format!("drop database if exists {name} with (force)"))).execute(&mut connection).await?;
    sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Drops a database and whoever is connected to it.
pub async fn drop_database(admin_url: &str, name: &str) -> Result<()> {
    let mut connection = PgConnection::connect(admin_url).await?;
    sqlx::query(AssertSqlSafe(format!("drop database if exists {name} with (force)"))).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Makes the counter of statements readable, where the server has it loaded and we may.
pub async fn count_statements(store: &Store) -> bool {
    let made = sqlx::query("create extension if not exists pg_stat_statements").execute(&store.pools.maintenance).await;
    made.is_ok() && counters(store).await.is_ok_and(|counters| counters.statements.is_some())
}

/// Reads the counters.
pub async fn counters(store: &Store) -> Result<Counters> {
    let statements: Option<i64> = sqlx::query_scalar(
        "select coalesce(sum(s.calls), 0)::bigint from pg_stat_statements s
         where s.dbid = (select oid from pg_database where datname = current_database()) and s.toplevel
           and s.query !~* '^(begin|commit|rollback)'",
    )
    .fetch_one(&store.pools.maintenance)
    .await
    .ok();
    let (wal_bytes, backend_pid): (i64, i32) =
        sqlx::query_as("select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint, pg_backend_pid()")
            .fetch_one(&store.pools.maintenance)
            .await?;
    Ok(Counters { statements, wal_bytes, backend_pid })
}

/// Lists the statements that took the server the most time: milliseconds, calls, and how each begins.
pub async fn dearest_statements(store: &Store, limit: i64) -> Result<Vec<(f64, i64, String)>> {
    let rows = sqlx::query_as(
        "select s.total_exec_time, s.calls, left(regexp_replace(s.query, '\\s+', ' ', 'g'), 90) from pg_stat_statements s
         where s.dbid = (select oid from pg_database where datname = current_database()) and s.toplevel
         order by s.total_exec_time desc limit $1",
    )
    .bind(limit)
    .fetch_all(&store.pools.maintenance)
    .await?;
    Ok(rows)
}

/// Forgets what was counted of statements.
pub async fn forget_statements(store: &Store) {
    // Where the counter is not loaded there is nothing to forget.
    let _ = sqlx::query("select pg_stat_statements_reset()").execute(&store.pools.maintenance).await;
}

/// Leaves the tables that were filled as a server finds them that has run for a while: analysed, and the WAL behind a
/// checkpoint. Tables without rows are left out: what is analysed while it is empty is planned for as if it stayed so.
pub async fn settle_down(store: &Store) -> Result<()> {
    let filled: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', schemaname, relname) from pg_stat_user_tables
         where schemaname = 'falconer' and pg_relation_size(relid) > 0",
    )
    .fetch_all(&store.pools.maintenance)
    .await?;
    if !filled.is_empty() {
        let vacuum = AssertSqlSafe(format!("vacuum (analyze) {}", filled.join(", ")));
        sqlx::query(vacuum).execute(&store.pools.maintenance).await?;
    }
    sqlx::query("checkpoint").execute(&store.pools.maintenance).await?;
    Ok(())
}

/// Counts attempts that are not over, and says whether any job waits for one. Reads the indexes `jobs_ready` and
/// `attempts_due`.
pub async fn open_work(store: &Store) -> Result<(i64, bool)> {
    let row = sqlx::query!(
        r#"select (select count(*) from falconer.attempts where state in ('submitting', 'unknown', 'submitted')) as "open!",
               exists (select from falconer.jobs where state = 'queued') as "waiting!""#
    )
    .fetch_one(&store.pools.maintenance)
    .await?;
    Ok((row.open, row.waiting))
}

/// Whether every job has been sent and every answer recorded.
pub async fn all_sent(store: &Store) -> Result<bool> {
    let busy = sqlx::query_scalar!(
        r#"select exists (select from falconer.jobs where state = 'queued')
               or exists (select from falconer.attempts where state = 'submitting') as "busy!""#
    )
    .fetch_one(&store.pools.maintenance)
    .await?;
    Ok(!busy)
}

/// When each request that has come home did.
pub async fn homecomings(store: &Store) -> Result<Vec<(String, DateTime<Utc>)>> {
    let rows = sqlx::query!(
        r#"select request_id as "request_id!", finished_at as "finished_at!" from falconer.attempts
           where request_id is not null and finished_at is not null"#
    )
    .fetch_all(&store.pools.maintenance)
    .await?;
    Ok(rows.into_iter().map(|row| (row.request_id, row.finished_at)).collect())
}
