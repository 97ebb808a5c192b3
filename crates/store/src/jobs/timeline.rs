//! Everything that happened to a job, ours and fal's, in one order of time.

use crate::{Store, error::Result};
use chrono::{DateTime, Utc};
use domain::{JobId, ProjectId};

/// Rows of one timeline. A job has far fewer, unless fal repeats a callback without end.
const ENTRIES_MAX: i64 = 2_000;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    pub at: DateTime<Utc>,
    pub kind: TimelineKind,
    /// What happened, by its name in the log of transitions; of a callback, what became of it.
    pub event: String,
    /// The number of the attempt that it happened to.
    pub attempt: Option<i16>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub detail: Option<String>,
}

/// What it happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimelineKind {
    Job,
    Attempt,
    Callback,
}

impl TimelineKind {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Attempt => "attempt",
            Self::Callback => "callback",
        }
    }
}

/// Reads what happened to a job, oldest first; nothing where it is not there or is another project's.
pub async fn timeline(store: &Store, project: Option<ProjectId>, id: JobId) -> Result<Option<Vec<TimelineEntry>>> {
    let rows = sqlx::query!(
        r#"
        with job as materialized (
            select j.id, j.created_at, j.state from falconer.jobs j
            where j.id = $1 and ($2::uuid is null or j.project_id = $2)
        )
        select e.at as "at!", e.kind as "kind!", e.event as "event!", e.attempt, e.before, e.after, e.detail
        from (
            select j.created_at as at, 0 as rank, 0 as version, 'job' as kind, 'accepted' as event,
                null::smallint as attempt, null::text as before, coalesce(
                    (select t.job_from from falconer.transitions t where t.job_id = j.id and t.job_from is not null
                     order by t.job_version limit 1), j.state) as after, null::text as detail
            from job j
            union all
            select t.at, 2, t.version, 'attempt', t.event, t.attempt_number, t.attempt_from, t.attempt_to, t.detail
            from job j join falconer.transitions t on t.job_id = j.id where t.attempt_number > 0
            union all
            select t.at, 3, t.job_version, 'job', t.event, null, t.job_from, t.job_to,
                case when t.attempt_number = 0 then t.detail end
            from job j join falconer.transitions t on t.job_id = j.id where t.job_to is not null
            union all
            select c.received_at, 1, 0, 'callback', c.disposition, a.number, null, null, c.cause
            from job j
            join falconer.attempts a on a.job_id = j.id
            join falconer.callbacks c on c.attempt_id = a.id
        ) as e
        order by e.at, e.rank, e.attempt, e.version
        limit $3
        "#,
        id.0,
        project.map(|id| id.0),
        ENTRIES_MAX,
    )
    .fetch_all(&store.pools.api)
    .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let entries = rows.into_iter().map(|row| TimelineEntry {
        at: row.at,
        kind: match row.kind.as_str() {
            "attempt" => TimelineKind::Attempt,
            "callback" => TimelineKind::Callback,
            _ => TimelineKind::Job,
        },
        event: row.event,
        attempt: row.attempt,
        from: row.before,
        to: row.after,
        detail: row.detail,
    });
    Ok(Some(entries.collect()))
}
