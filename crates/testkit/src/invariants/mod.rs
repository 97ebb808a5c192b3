//! Queries that must return no row: after a drained run all of them, at any moment most of them.
//!
//! They ask the database alone. What needs a witness from outside is in [`crate::truth`].

use anyhow::{Context as _, Result};
use domain::table;
use sqlx::{AssertSqlSafe, PgPool, Row as _};
use std::{collections::BTreeSet, fmt::Write as _};

/// Rows shown of a broken invariant.
const ROWS_SHOWN: usize = 5;

/// One query that must return no row.
#[derive(Clone, Debug)]
pub struct Invariant {
    /// As the list of invariants calls it.
    pub id: &'static str,
    /// What holds.
    pub holds: &'static str,
    sql: String,
    /// Whether it holds only once all work is done.
    drained: bool,
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
    let plain = PLAIN.iter().map(|(id, holds, drained, sql)| {
        let sql = (*sql).to_owned();
        Invariant { id, holds, sql, drained: *drained }
    });
    plain.chain(legal_transitions()).collect()
}

/// What must hold at any moment.
pub fn always() -> Vec<Invariant> {
    after_drain().into_iter().filter(|invariant| !invariant.drained).collect()
}

/// Asks every query of the list, and returns those that found something.
///
/// # Errors
/// When the database cannot be asked.
pub async fn broken(db: &PgPool, list: &[Invariant]) -> Result<Vec<Broken>> {
    let mut broken = Vec::new();
    for invariant in list {
        let limited =
            format!("select to_jsonb(found)::text as row from ({}) as found limit {ROWS_SHOWN}", invariant.sql);
        let rows = sqlx::query(AssertSqlSafe(limited)).fetch_all(db).await;
        let rows = rows.with_context(|| format!("invariant {} cannot be asked", invariant.id))?;
        if !rows.is_empty() {
            let rows = rows.iter().map(|row| row.get::<String, _>("row")).collect();
            broken.push(Broken { id: invariant.id, holds: invariant.holds, rows });
        }
    }
    Ok(broken)
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
    let invariant = |holds, sql| Invariant { id: "I04", holds, sql, drained: false };
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

/// Id, what holds, whether only once all is drained, and the query for what breaks it.
const PLAIN: &[(&str, &str, bool, &str)] = &[
    (
        "I02",
        "every job has ended",
        true,
        "select id, state from falconer.jobs where state not in ('succeeded', 'failed', 'canceled')",
    ),
    (
        "I03",
        "a job ends once",
        false,
        "select job_id, count(*) from falconer.transitions where job_to in ('succeeded', 'failed', 'canceled')
         group by job_id having count(*) > 1",
    ),
    (
        "I03",
        "an ended job has its end in the log",
        false,
        "select j.id, j.state from falconer.jobs j where j.finished_at is not null and not exists (
             select from falconer.transitions t where t.job_id = j.id and t.job_to = j.state)",
    ),
    (
        "I04",
        "an attempt's versions are gapless and its states are chained",
        false,
        "select * from (
             select job_id, attempt_number, version, attempt_from, lag(version, 1, 0) over w as earlier,
                 lag(attempt_to) over w as came_from
             from falconer.transitions where attempt_number > 0
             window w as (partition by job_id, attempt_number order by version)) as t
         where version <> earlier + 1 or attempt_from is distinct from came_from",
    ),
    (
        "I04",
        "an attempt is where its log says",
        false,
        "select a.id, a.state, a.version, t.attempt_to, t.version as logged from falconer.attempts a
         join lateral (select attempt_to, version from falconer.transitions t
             where t.job_id = a.job_id and t.attempt_number = a.number order by t.version desc limit 1) as t on true
         where a.state <> t.attempt_to or a.version <> t.version",
    ),
    (
        "I04",
        "a job's versions are gapless and its states are chained",
        false,
        "select * from (
             select job_id, job_version, job_from, lag(job_version) over w as earlier, lag(job_to) over w as came_from
             from falconer.transitions where job_version is not null
             window w as (partition by job_id order by job_version)) as t
         where earlier is not null and (job_version <> earlier + 1 or job_from is distinct from came_from)",
    ),
    (
        "I04",
        "a job is where its log says",
        false,
        "select j.id, j.state, j.version, t.job_to, t.job_version from falconer.jobs j
         join lateral (select job_to, job_version from falconer.transitions t
             where t.job_id = j.id and t.job_version is not null order by t.job_version desc limit 1) as t on true
         where j.state <> t.job_to or j.version <> t.job_version",
    ),
    (
        "I05",
        "nothing is open without deadlines and a next look",
        false,
        "select id, state from falconer.attempts where state in ('submitting', 'unknown', 'submitted')
         and (next_look_at is null or run_deadline is null or abandon_at is null or lease_until is null)",
    ),
    (
        "I07",
        "a request id is bound once",
        false,
        "select a.credential_id, a.request_id, count(*) from falconer.attempts a
         where a.request_id is not null and a.result_from is distinct from 'refetch' group by 1, 2 having count(*) > 1",
    ),
    (
        "I07",
        "a bound attempt holds its binding",
        false,
        "select a.id, a.request_id from falconer.attempts a
         left join falconer.request_bindings b on b.credential_id = a.credential_id and b.request_id = a.request_id
         where a.request_id is not null and a.result_from is distinct from 'refetch'
           and b.attempt_id is distinct from a.id",
    ),
    (
        "I08",
        "a job has at most one live attempt",
        false,
        "select job_id, count(*) from falconer.attempts
         where state in ('submitting', 'unknown', 'submitted') and superseded_at is null
         group by job_id having count(*) > 1",
    ),
    (
        "I08",
        "a job runs exactly while an attempt of it is live",
        false,
        "select j.id, j.state from falconer.jobs j
         where (j.state = 'running') <> exists (select from falconer.attempts a where a.job_id = j.id
             and a.state in ('submitting', 'unknown', 'submitted') and a.superseded_at is null)",
    ),
    (
        "I09",
        "a succeeded job points at a succeeded attempt of its own, with a result",
        false,
        "select j.id, j.winner from falconer.jobs j
         left join falconer.attempts a on a.job_id = j.id and a.id = j.winner
         left join falconer.results r on r.job_id = j.id and r.attempt_id = j.winner
         where j.state = 'succeeded' and (a.state is distinct from 'succeeded'
             or a.project_id is distinct from j.project_id or r.job_id is null)",
    ),
    (
        "I10",
        "a stored result has the checksum that was stored with it",
        false,
        "select job_id, attempt_id from falconer.results where sha256(body) <> body_sha256",
    ),
    (
        "I11",
        "one event for each ended job, from the transaction that ended it",
        false,
        "select j.id, j.state, e.type from falconer.jobs j
         full join falconer.events e on e.job_id = j.id and e.type = 'job.' || j.state
         left join falconer.transitions t on t.job_id = j.id and t.job_to = j.state
             and t.job_to in ('succeeded', 'failed', 'canceled')
         where (j.finished_at is not null or e.job_id is not null)
           and (j.finished_at is null or e.job_id is null or e.xact is distinct from t.xact)",
    ),
    (
        "I16",
        "every attempt that was or may have been billed has its line of money",
        false,
        "select a.id, a.state, a.charged from falconer.attempts a
         where (a.state = 'succeeded' and a.result_from is distinct from 'refetch' or a.charged in ('yes', 'perhaps'))
           and not exists (select from falconer.ledger l where l.job_id = a.job_id and l.attempt_id = a.id)",
    ),
    (
        "I22",
        "an idempotency key leads to a job of its project",
        false,
        "select k.key, k.job_id from falconer.idempotency_keys k left join falconer.jobs j on j.id = k.job_id
         where j.project_id is distinct from k.project_id",
    ),
    (
        "I26",
        "a job's times are in order",
        false,
        "select id, created_at, started_at, finished_at from falconer.jobs
         where started_at < created_at or finished_at < coalesce(started_at, created_at)",
    ),
    (
        "I26",
        "an attempt's times are in order",
        false,
        "select id, claimed_at, submitted_at, finished_at from falconer.attempts
         where submitted_at < claimed_at or finished_at < coalesce(submitted_at, claimed_at)
           or run_deadline < claimed_at",
    ),
    (
        "I30",
        "a canceled job has no result of its own, and a late one is in the ledger",
        false,
        "select a.id, j.state from falconer.attempts a join falconer.jobs j on j.id = a.job_id
         where a.superseded_ok_at is not null and not exists (select from falconer.ledger l
             where l.attempt_id = a.id and l.job_id = a.job_id and l.kind in ('charge', 'superseded_charge'))
            or j.state = 'canceled' and exists (select from falconer.events e
             where e.job_id = j.id and e.type = 'job.succeeded')",
    ),
    (
        "I31",
        "attempts_made counts the counted attempts",
        false,
        "select j.id, j.attempts_made, j.attempts_opened from falconer.jobs j
         where j.attempts_opened <> (select count(*) from falconer.attempts a where a.job_id = j.id)
            or j.finished_at is null and j.attempts_made <> (
                select count(*) from falconer.attempts a where a.job_id = j.id and a.counted)",
    ),
];
