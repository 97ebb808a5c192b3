//! Pages of the feed.

use super::{
    position::Position,
    view::{EventRow, EventView, views},
};
use crate::{Store, error::Result};
use domain::{JobId, ProjectId};

/// The most events that one page holds.
pub const PAGE_MAX: u32 = 200;
/// Rows that are read at once where only some types are wanted.
const SCAN: i64 = 1_000;
/// How often they are read for one page. What few events pass gives empty pages rather than long scans.
const SCANS_MAX: usize = 10;

/// Which events are wanted.
#[derive(Clone, Debug)]
pub struct Feed {
    pub project: ProjectId,
    /// Only these types; nothing where all are wanted.
    pub types: Option<Vec<String>>,
    /// Events of a page, never more than [`PAGE_MAX`].
    pub limit: u32,
}

/// A part of the feed, in order.
#[derive(Clone, Debug)]
pub struct Page {
    pub events: Vec<EventView>,
    /// Everything up to here was looked at. Not before the position that the page was asked from.
    pub reached: Position,
    /// Whether the feed ended here when it was read.
    pub at_end: bool,
}

/// Reads the events that come after a position.
///
/// An event whose job was dropped between two reads is left out.
pub async fn read(store: &Store, feed: &Feed, after: Position) -> Result<Page> {
    let limit = usize::try_from(feed.limit.clamp(1, PAGE_MAX)).unwrap_or(1);
    let scan = if feed.types.is_some() { SCAN } else { i64::try_from(limit).unwrap_or(1) };
    let (mut reached, mut at_end) = (after, false);
    for _ in 0..SCANS_MAX {
        let rows = rows(store, feed.project, reached, scan).await?;
        at_end = rows.len() < usize::try_from(scan).unwrap_or(usize::MAX);
        let last = rows.last().map(|row| row.position);
        let is_wanted = |row: &EventRow| feed.types.as_ref().is_none_or(|types| types.contains(&row.kind));
        let mut wanted: Vec<EventRow> = rows.into_iter().filter(is_wanted).collect();
        if wanted.len() > limit {
            wanted.truncate(limit);
            at_end = false;
            reached = wanted.last().map_or(reached, |row| row.position);
        } else {
            reached = last.unwrap_or(reached);
        }
        if !wanted.is_empty() {
            return Ok(Page { events: views(store, feed.project, wanted).await?, reached, at_end });
        }
        if at_end {
            break;
        }
    }
    Ok(Page { events: Vec::new(), reached, at_end })
}

/// Whether the project has committed events that cannot be shown yet, because an older transaction still runs.
pub(super) async fn is_held_back(store: &Store, project: ProjectId) -> Result<bool> {
    let held = sqlx::query_scalar!(
        r#"select exists (
               select from falconer.job_events e
               where e.project_id = $1 and (e.epoch, e.xact)
                   >= ((select c.epoch from falconer.event_epoch c), pg_snapshot_xmin(pg_current_snapshot()))
           ) as "held!""#,
        project.0,
    )
    .fetch_one(&store.pools.api)
    .await?;
    Ok(held)
}

/// Reads the index `job_events_feed`.
async fn rows(store: &Store, project: ProjectId, after: Position, limit: i64) -> Result<Vec<EventRow>> {
    let rows = sqlx::query!(
        r#"select e.epoch, e.xact::text as "xact!", e.id, e.job_id as "job: JobId", e.type as kind, e.created_at
           from falconer.job_events e
           where e.project_id = $1
             and (e.epoch, e.xact, e.id) > ($2, $3::text::xid8, $4)
             and (e.epoch, e.xact)
                 < ((select c.epoch from falconer.event_epoch c), pg_snapshot_xmin(pg_current_snapshot()))
           order by e.epoch, e.xact, e.id
           limit $5"#,
        project.0,
        after.epoch,
        after.xact_text(),
        after.id,
        limit,
    )
    .fetch_all(&store.pools.api)
    .await?;
    let read = rows.into_iter().map(|row| {
        Ok(EventRow {
            position: Position::of_row(row.epoch, &row.xact, row.id)?,
            job: row.job,
            kind: row.kind,
            created_at: row.created_at,
        })
    });
    read.collect()
}
