//! Queries that must return no row: after a drained run all of them, at any moment most of them.
//!
//! They ask the database alone. What needs a witness from outside is in [`crate::truth`].

mod lineage;
mod plain;
mod secrets;
mod timely;

pub use secrets::kept_secrets;

use anyhow::{Context as _, Result};
use domain::table;
use sqlx::{AssertSqlSafe, PgPool, Row as _};
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    time::{Duration, Instant},
};

/// Rows shown of a broken invariant.
const ROWS_SHOWN: usize = 5;
/// How long something may be so that must not stay so. A jump of the clock makes much work due at once.
const GRACE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// One query that must return no row.
#[derive(Clone, Debug)]
pub struct Invariant {
    /// As the list of invariants calls it, or a word where that has none.
    pub id: &'static str,
    /// What holds.
    pub holds: &'static str,
    sql: String,
    /// Whether it holds only once all work is done.
    drained: bool,
    /// Whether it may be broken for a moment.
    timely: bool,
}

/// An invariant that does not hold.
#[derive(Clone, Debug)]
pub struct Broken {
    pub id: &'static str,
    pub holds: &'static str,
    /// The first few rows, as JSON.
    pub rows: Vec<String>,
}

/// What must hold once every job has ended.
pub fn after_drain() -> Vec<Invariant> {
    let plain = plain::PLAIN.iter().map(|(id, holds, drained, sql)| {
        let sql = (*sql).to_owned();
        Invariant { id, holds, sql, drained: *drained, timely: false }
    });
    let live = |list: &'static [(&'static str, &'static str, &'static str)], timely| {
        let invariant = move |(id, holds, sql): &(&'static str, &'static str, &'static str)| Invariant {
            id,
            holds,
            sql: (*sql).to_owned(),
            drained: false,
            timely,
        };
        list.iter().map(invariant)
    };
    let all = plain.chain(live(lineage::LINEAGE, false)).chain(legal_transitions());
    all.chain(live(timely::TIMELY, true)).collect()
}

/// What must hold at any moment.
pub fn always() -> Vec<Invariant> {
    after_drain().into_iter().filter(|invariant| !invariant.drained).collect()
}

/// Asks every query of the list, and returns those that found something. Those of which it says so may find something for
/// a few seconds.
///
/// # Errors
/// When the database cannot be asked.
pub async fn broken(db: &PgPool, list: &[Invariant]) -> Result<Vec<Broken>> {
    let began = Instant::now();
    let mut broken = Vec::new();
    for invariant in list {
        let mut rows = ask(db, invariant).await?;
        while !rows.is_empty() && invariant.timely && began.elapsed() < GRACE {
            tokio::time::sleep(PAUSE).await;
            rows = ask(db, invariant).await?;
        }
        if !rows.is_empty() {
            broken.push(Broken { id: invariant.id, holds: invariant.holds, rows });
        }
    }
    Ok(broken)
}

/// The first rows that break an invariant.
async fn ask(db: &PgPool, invariant: &Invariant) -> Result<Vec<String>> {
    let limited = format!("select to_jsonb(found)::text as row from ({}) as found limit {ROWS_SHOWN}", invariant.sql);
    let rows = sqlx::query(AssertSqlSafe(limited)).fetch_all(db).await;
    let rows = rows.with_context(|| format!("invariant {} cannot be asked", invariant.id))?;
    Ok(rows.iter().map(|row| row.get::<String, _>("row")).collect())
}

/// I04: only moves that `domain` knows. A row that keeps the state is a note, such as a cancel that was armed.
fn legal_transitions() -> [Invariant; 2] {
    let illegal = |kind: &str, scope: &str, allowed: &BTreeSet<(&'static str, &'static str)>| {
        format!(
            "with allowed (before, after) as (values {})
             select t.job_id, t.attempt_number, t.version, t.{kind}_from, t.{kind}_to from falconer.transitions t
             where t.{kind}_to is not null {scope} and t.{kind}_from is distinct from t.{kind}_to
               and (coalesce(t.{kind}_from, ''), t.{kind}_to) not in (select before, after from allowed)
               and t.event <> 'refetched'",
            values(allowed)
        )
    };
    let invariant = |holds, sql| Invariant { id: "I04", holds, sql, drained: false, timely: false };
    [
        invariant("attempts move only as the table says", illegal("attempt", "", &table::allowed_attempt_pairs())),
        invariant("jobs move only as the table says", illegal("job", "", &table::allowed_job_pairs())),
    ]
}

fn values(pairs: &BTreeSet<(&'static str, &'static str)>) -> String {
    let mut text = String::new();
    for (before, after) in pairs {
        let comma = if text.is_empty() { "" } else { ", " };
        // The names are constants of the code, so none of them needs escaping.
        write!(text, "{comma}('{before}', '{after}')").expect("a String takes all that is written");
    }
    text
}
