//! Lists of jobs, newest first, a page at a time.

use super::view::{JobView, views};
use crate::{Store, error::Result};
use chrono::{DateTime, Utc};
use domain::{JobId, ProjectId};
use uuid::Uuid;

/// The most jobs that one page holds.
pub const LIST_MAX: u32 = 200;

/// Rows that one page may read. A filter that few jobs pass gives short pages rather than long scans.
const SCAN_MAX: i64 = 20_000;

/// Which jobs are wanted. What is not said does not matter.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub states: Option<Vec<String>>,
    pub model: Option<String>,
    pub tag: Option<String>,
    /// The job's metadata must contain this, as Postgres' `@>` means it.
    pub metadata: Option<serde_json::Value>,
    pub error_class: Option<String>,
    /// From this instant on.
    pub created_from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub created_before: Option<DateTime<Utc>>,
}

/// One page of a list. It may hold fewer items than asked for, even none, and still have a successor.
#[derive(Clone, Debug)]
pub struct Page<T, C> {
    pub items: Vec<T>,
    /// Where the next page begins: after this one.
    pub next: Option<C>,
}

/// Lists jobs of a project whose ids come before `after`, newest first, up to `limit` and never more than [`LIST_MAX`].
///
/// Reads the index `jobs_by_project`, and of it at most a fixed number of rows.
pub async fn list(
    store: &Store,
    project: ProjectId,
    filter: &JobFilter,
    after: Option<JobId>,
    limit: u32,
) -> Result<Page<JobView, JobId>> {
    let limit = usize::try_from(limit.clamp(1, LIST_MAX)).unwrap_or(1);
    let mut ids = matching(store, project, filter, after, limit + 1).await?;
    let next = if ids.len() > limit {
        ids.truncate(limit);
        ids.last().copied()
    } else {
        last_scanned(store, project, filter, after).await?
    };
    let items = views(store, Some(project), &ids).await?;
    Ok(Page { items, next })
}

/// Finds the jobs of a project that fal knows by `request_id`.
pub async fn by_request_id(store: &Store, project: ProjectId, request_id: &str) -> Result<Vec<JobView>> {
    let ids = sqlx::query_scalar!(
        r#"select b.job_id as "job: JobId"
           from falconer.credentials c
           join falconer.request_bindings b on b.credential_id = c.id and b.request_id = $1"#,
        request_id,
    )
    .fetch_all(&store.pools.api)
    .await?;
    views(store, Some(project), &ids).await
}

async fn matching(
    store: &Store,
    project: ProjectId,
    filter: &JobFilter,
    after: Option<JobId>,
    limit: usize,
) -> Result<Vec<JobId>> {
    let ids = sqlx::query_scalar!(
        r#"
        select j.id as "id!: JobId"
        from (
            select j.id, j.state, j.model, j.tags, j.metadata, j.error_class, j.created_at
            from falconer.jobs j
            where j.project_id = $1 and j.id < $2
            order by j.id desc
            limit $3
        ) as j
        where ($4::text[] is null or j.state = any($4))
          and ($5::text is null or j.model = $5)
          and ($6::text is null or j.tags @> array[$6])
          and ($7::jsonb is null or j.metadata @> $7)
          and ($8::text is null or j.error_class = $8)
          and ($9::timestamptz is null or j.created_at >= $9)
          and ($10::timestamptz is null or j.created_at < $10)
        order by j.id desc
        limit $11
        "#,
        project.0,
        upper(filter, after),
        SCAN_MAX,
        filter.states.as_deref(),
        filter.model.as_deref(),
        filter.tag.as_deref(),
        filter.metadata.as_ref(),
        filter.error_class.as_deref(),
        filter.created_from,
        filter.created_before,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(ids)
}

/// The last row that a page read, where it stopped before the end of the list.
async fn last_scanned(
    store: &Store,
    project: ProjectId,
    filter: &JobFilter,
    after: Option<JobId>,
) -> Result<Option<JobId>> {
    let id = sqlx::query_scalar!(
        r#"select j.id as "id: JobId" from falconer.jobs j
           where j.project_id = $1 and j.id < $2 order by j.id desc offset $3 limit 1"#,
        project.0,
        upper(filter, after),
        SCAN_MAX - 1,
    )
    .fetch_optional(&store.pools.api)
    .await?;
    Ok(id)
}

/// The id below which the page begins. An id tells its time of birth, so that a list of an old day need not be walked
/// down to; ids are minted before the row is stamped, so that none is younger than its row but for clocks that differ.
fn upper(filter: &JobFilter, after: Option<JobId>) -> Uuid {
    const CLOCKS_DIFFER_BY: chrono::TimeDelta = chrono::TimeDelta::hours(1);
    let by_time = filter.created_before.and_then(|before| {
        let latest = before.checked_add_signed(CLOCKS_DIFFER_BY)?;
        let ms = u128::try_from(latest.timestamp_millis()).ok()?;
        Some(Uuid::from_u128(ms << 80))
    });
    let after = after.map_or(Uuid::max(), |id| id.0);
    by_time.map_or(after, |by_time| by_time.min(after))
}
