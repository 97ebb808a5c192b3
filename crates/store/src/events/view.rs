//! Events with what they tell of: the job, and its result where that is small.

use super::position::Position;
use crate::{
    Store,
    error::Result,
    jobs::{self, JobView},
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{EventId, JobId, ProjectId};
use std::collections::HashMap;
use uuid::Uuid;

/// Results up to this many bytes are part of the event.
pub const INLINE_MAX: i32 = 65_536;

/// One event, as subscribers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct EventView {
    pub id: EventId,
    /// One of [`super::TYPES`].
    pub kind: String,
    pub created_at: DateTime<Utc>,
    /// As it is now; a job that has ended changes no more, but for what it cost.
    pub job: JobView,
    /// Nothing where the job has no result.
    pub result: Option<ResultPart>,
}

/// A job's result, or how large it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultPart {
    pub bytes: i64,
    /// fal's output, byte for byte, where it has at most [`INLINE_MAX`] bytes.
    pub body: Option<Bytes>,
}

/// An event that was found and not looked up yet.
#[derive(Clone, Debug)]
pub(super) struct EventRow {
    pub(super) position: Position,
    pub(super) job: JobId,
    pub(super) kind: String,
    pub(super) created_at: DateTime<Utc>,
}

/// Reads one event, whether its place in the feed is settled or not; nothing where it is not there or is another project's.
pub async fn get(store: &Store, project: ProjectId, id: EventId) -> Result<Option<EventView>> {
    let row = sqlx::query!(
        r#"select e.epoch, e.xact::text as "xact!", e.id, e.job_id as "job: JobId", e.type as kind, e.created_at
           from falconer.job_events e where e.id = $1 and e.project_id = $2 limit 1"#,
        id.0,
        project.0,
    )
    .fetch_optional(&store.pools.api)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let position = Position::of_row(row.epoch, &row.xact, row.id)?;
    let row = EventRow { position, job: row.job, kind: row.kind, created_at: row.created_at };
    Ok(views(store, project, vec![row]).await?.pop())
}

/// Looks up what events tell of, in their order. An event whose job is gone is left out.
pub(super) async fn views(store: &Store, project: ProjectId, rows: Vec<EventRow>) -> Result<Vec<EventView>> {
    let ids: Vec<JobId> = rows.iter().map(|row| row.job).collect();
    let found = jobs::views(store, Some(project), &ids).await?;
    let jobs: HashMap<JobId, JobView> = found.into_iter().map(|job| (job.id, job)).collect();
    let results = results(store, &ids).await?;
    let view = |row: EventRow| {
        Some(EventView {
            id: EventId(row.position.id),
            kind: row.kind,
            created_at: row.created_at,
            job: jobs.get(&row.job)?.clone(),
            result: results.get(&row.job).cloned(),
        })
    };
    Ok(rows.into_iter().filter_map(view).collect())
}

/// The results of those jobs that have one. Of a large one only its size is read.
async fn results(store: &Store, jobs: &[JobId]) -> Result<HashMap<JobId, ResultPart>> {
    let ids: Vec<Uuid> = jobs.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select j.id as "job!: JobId", octet_length(r.body) as "bytes!",
               case when octet_length(r.body) <= $2 then r.body end as body
           from unnest($1::uuid[]) as w (id)
           cross join lateral (select j.id, j.winner from falconer.jobs j where j.id = w.id offset 0) as j
           cross join lateral (
               select r.body from falconer.results r where r.job_id = j.id and r.attempt_id = j.winner offset 0
           ) as r"#,
        &ids,
        INLINE_MAX,
    )
    .fetch_all(&store.pools.api)
    .await?;
    let part = |bytes: i32, body: Option<Vec<u8>>| ResultPart { bytes: bytes.into(), body: body.map(Bytes::from) };
    Ok(rows.into_iter().map(|row| (row.job, part(row.bytes, row.body))).collect())
}
