//! What a whole database says of its jobs: how far they are, and in the end how each of them came home.
//!
//! For whoever compares Falconer's account with somebody else's, as the demo does with its simulated fal. Reads everything,
//! so it is meant for a database of at most some ten thousand jobs, and no role of the service calls it.

use crate::{Store, error::Result};
use chrono::{DateTime, Utc};
use domain::{AttemptId, JobId};

/// How far all jobs are. A job is counted once in `accepted` and once in one of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub accepted: i64,
    /// Not sent yet, or between two attempts.
    pub waiting: i64,
    /// Being sent, or at fal by what we know.
    pub at_fal: i64,
    /// Nobody knows whether fal has it.
    pub unknown: i64,
    /// Ended by what a callback said.
    pub by_callback: i64,
    /// Ended by what fal said when it was asked.
    pub by_look: i64,
    /// Ended without a word of fal about a run.
    pub otherwise: i64,
}

impl Progress {
    /// Jobs that have ended.
    pub const fn home(&self) -> i64 {
        self.by_callback + self.by_look + self.otherwise
    }
}

/// Who told us how a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldBy {
    Callback,
    Look,
    /// Nobody, or the job is not over.
    Nobody,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLine {
    pub id: JobId,
    pub model: String,
    pub state: String,
    pub error_class: Option<String>,
    pub finished_at: Option<DateTime<Utc>>,
    pub told_by: ToldBy,
    /// fal's name for the run that ended it.
    pub request_id: Option<String>,
    /// Of the result as it is stored.
    pub result_sha256: Option<Vec<u8>>,
    /// Terminal events; a job that is over has one.
    pub ends: i64,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptLine {
    pub id: AttemptId,
    pub job: JobId,
    pub number: i16,
    pub state: String,
    pub request_id: Option<String>,
    pub finished_at: Option<DateTime<Utc>>,
    /// When it became `unknown`, if it ever was.
    pub unknown_at: Option<DateTime<Utc>>,
    /// When it stopped being so.
    pub known_at: Option<DateTime<Utc>>,
    /// `submit`, `callback` or `history`.
    pub bound_by: Option<String>,
    /// A callback came before fal's user id was known to us, and was kept until fal had confirmed the run.
    pub kept_callback: bool,
    /// Lines in the ledger that say it was charged.
    pub charges: i64,
}

/// Calls from fal about one request, by what became of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackLine {
    pub request_id: Option<String>,
    /// `applied`, `duplicate`, `kept` or `rejected`.
    pub disposition: String,
    pub calls: i64,
}

/// Counts all jobs by how far they are.
pub async fn progress(store: &Store) -> Result<Progress> {
    let progress = sqlx::query_as!(
        Progress,
        r#"
        with last as (
            select j.state, j.finished_at is not null as over, a.state as attempt, a.request_id is not null as at_fal,
                coalesce(a.result_from = 'callback', a.called, false) as called
            from falconer.jobs j
            left join lateral (
                select a.state, a.request_id, a.result_from, exists (
                    select from falconer.callbacks c where c.attempt_id = a.id and c.disposition = 'applied') as called
                from falconer.attempts a where a.job_id = j.id
                order by (a.id = j.winner) is true desc, a.number desc
                limit 1
            ) as a on true
        )
        select count(*) as "accepted!",
            count(*) filter (where not over and state <> 'running') as "waiting!",
            count(*) filter (where not over and state = 'running' and attempt is distinct from 'unknown') as "at_fal!",
            count(*) filter (where not over and state = 'running' and attempt = 'unknown') as "unknown!",
            count(*) filter (where over and at_fal and called) as "by_callback!",
            count(*) filter (where over and at_fal and not called) as "by_look!",
            count(*) filter (where over and at_fal is not true) as "otherwise!"
        from last
        "#,
    )
    .fetch_one(&store.pools.maintenance)
    .await?;
    Ok(progress)
}

/// Reads every job, oldest first.
pub async fn jobs(store: &Store) -> Result<Vec<JobLine>> {
    let rows = sqlx::query!(
        r#"
        select j.id as "id: JobId", j.model, j.state, j.error_class, j.finished_at, a.request_id as "request_id?",
            coalesce(a.result_from = 'callback', a.called, false) as "called!", r.body_sha256 as "result_sha256?",
            (select count(*) from falconer.job_events e where e.job_id = j.id
                and e.type in ('job.succeeded', 'job.failed', 'job.canceled')) as "ends!"
        from falconer.jobs j
        left join lateral (
            select a.id, a.request_id, a.result_from, exists (
                select from falconer.callbacks c where c.attempt_id = a.id and c.disposition = 'applied') as called
            from falconer.attempts a where a.job_id = j.id
            order by (a.id = j.winner) is true desc, a.number desc
            limit 1
        ) as a on true
        left join falconer.results r on r.job_id = j.id and r.attempt_id = j.winner
        order by j.id
        "#,
    )
    .fetch_all(&store.pools.maintenance)
    .await?;
    let lines = rows.into_iter().map(|row| JobLine {
        told_by: match (row.finished_at, &row.request_id, row.called) {
            (Some(_), Some(_), true) => ToldBy::Callback,
            (Some(_), Some(_), false) => ToldBy::Look,
            (Some(_), None, _) | (None, _, _) => ToldBy::Nobody,
        },
        id: row.id,
        model: row.model,
        state: row.state,
        error_class: row.error_class,
        finished_at: row.finished_at,
        request_id: row.request_id,
        result_sha256: row.result_sha256,
        ends: row.ends,
    });
    Ok(lines.collect())
}

/// Reads every attempt, oldest first.
pub async fn attempts(store: &Store) -> Result<Vec<AttemptLine>> {
    let lines = sqlx::query_as!(
        AttemptLine,
        r#"
        select a.id as "id: AttemptId", a.job_id as "job: JobId", a.number, a.state, a.request_id, a.finished_at,
            doubt.at as "unknown_at?", doubt.ended_at as "known_at?", a.bound_by,
            exists (select from falconer.callbacks c
                where c.attempt_id = a.id and c.cause = 'user_unpinned') as "kept_callback!",
            (select count(*) from falconer.ledger l
                where l.job_id = a.job_id and l.attempt_id = a.id and l.kind = 'charge') as "charges!"
        from falconer.attempts a
        left join lateral (
            select t.at, (select min(u.at) from falconer.transitions u where u.job_id = t.job_id
                and u.attempt_number = t.attempt_number and u.attempt_from = 'unknown'
                and u.attempt_to <> 'unknown') as ended_at
            from falconer.transitions t
            where t.job_id = a.job_id and t.attempt_number = a.number and t.attempt_to = 'unknown'
            order by t.version
            limit 1
        ) as doubt on true
        order by a.id
        "#,
    )
    .fetch_all(&store.pools.maintenance)
    .await?;
    Ok(lines)
}

/// Counts the callbacks about each request by what became of them.
pub async fn callbacks(store: &Store) -> Result<Vec<CallbackLine>> {
    let lines = sqlx::query_as!(
        CallbackLine,
        r#"select request_id, disposition, count(*) as "calls!" from falconer.callbacks
           group by request_id, disposition order by request_id, disposition"#,
    )
    .fetch_all(&store.pools.maintenance)
    .await?;
    Ok(lines)
}
