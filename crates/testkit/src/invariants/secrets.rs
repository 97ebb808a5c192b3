//! I29: what must not be kept in the clear is nowhere in the database and in no log.

use super::Broken;
use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, PgPool};

/// Searches every table, and the `logs`, for `canaries`: secrets that can be told from anything else.
///
/// A row is searched as text, in which bytes are written in hexadecimal; so bytes are found in every column.
///
/// # Errors
/// When the database cannot be asked.
pub async fn kept_secrets(db: &PgPool, logs: &[String], canaries: &[String]) -> Result<Vec<Broken>> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'falconer' and c.relkind in ('r', 'p') and not c.relispartition",
    )
    .fetch_all(db)
    .await
    .context("the list of tables")?;
    let needles: Vec<String> = canaries.iter().flat_map(|canary| [canary.clone(), hex::encode(canary)]).collect();
    let mut found = Vec::new();
    for table in tables {
        let kept =
            format!("select exists (select from {table} t, unnest($1::text[]) as n where strpos(t::text, n) > 0)");
        let kept: bool = sqlx::query_scalar(AssertSqlSafe(kept))
            .bind(&needles)
            .fetch_one(db)
            .await
            .with_context(|| format!("{table} cannot be searched"))?;
        if kept {
            found.push(format!("the table {table}"));
        }
    }
    for line in logs.iter().flat_map(|log| log.lines()) {
        if canaries.iter().any(|canary| line.contains(canary.as_str())) {
            found.push(format!("the log: {line}"));
        }
    }
    found.truncate(super::ROWS_SHOWN);
    let broken = Broken { id: "I29", holds: "no secret is in the database or in a log", rows: found };
    Ok(if broken.rows.is_empty() { Vec::new() } else { vec![broken] })
}
