//! Lists of jobs, newest first, a page at a time, and the search by anything that a job is known by.
//!
//! A page reads a bounded number of rows, whatever is asked for: it may be short, even empty, and still have a successor.
//! One filter chooses the index, which is in the list's own order; the others are checked on the rows that it gives.

mod scan;
#[cfg(test)]
mod tests;

use super::view::{JobView, views};
use crate::{Page, Store, error::Result};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{JobId, ProjectId};
use scan::Reading;
use serde_json::{Value, json};
use uuid::Uuid;

/// The most jobs that one page holds.
pub const LIST_MAX: u32 = 200;

/// Rows that one page may read.
const SCAN_MAX: usize = 10_000;

/// Rows that are read in order before the index of labels is asked: a label that many jobs have is found among these.
const FIRST_SCAN: usize = 5000;

/// How far the clocks of processes may lie apart.
const CLOCKS_DIFFER_BY: TimeDelta = TimeDelta::hours(1);

/// Which jobs are wanted. What is not said does not matter.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub states: Option<Vec<String>>,
    pub model: Option<String>,
    pub tag: Option<String>,
    /// The job's metadata must contain this, as Postgres' `@>` means it.
    pub metadata: Option<Value>,
    pub error_class: Option<String>,
    /// From this instant on.
    pub created_from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub created_before: Option<DateTime<Utc>>,
    /// fal's name for one of the job's attempts.
    pub request_id: Option<String>,
}

/// What was found of a page, newest first, and where the search stopped that has not come to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    ids: Vec<JobId>,
    stopped_at: Option<JobId>,
}

/// An index in the order of ids, and the part of it that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Project,
    State(String),
    Lane(i32),
    ErrorClass(String),
}

/// The ids that a page may hold: from `lowest` on and below `upper`.
#[derive(Clone, Copy, Debug)]
struct Span {
    lowest: Uuid,
    upper: Uuid,
}

/// Lists jobs of a project whose ids come before `after`, newest first, up to `limit` and never more than [`LIST_MAX`].
///
/// Reads the indexes `jobs_by_project`, `jobs_by_state`, `jobs_by_lane`, `jobs_by_error` or `jobs_labels`, and
/// `request_bindings` by its key.
pub async fn list(
    store: &Store,
    project: ProjectId,
    filter: &JobFilter,
    after: Option<JobId>,
    limit: u32,
) -> Result<Page<JobView, JobId>> {
    let limit = usize::try_from(limit.clamp(1, LIST_MAX)).unwrap_or(1);
    let found = find(store, project, filter, after, limit + 1).await?;
    let page = Page::cut(found.ids, limit, |id| *id);
    let items = views(store, Some(project), &page.items).await?;
    Ok(Page { items, next: page.next.or(found.stopped_at) })
}

/// Finds up to `wanted` jobs. No connection is held once it returns.
async fn find(
    store: &Store,
    project: ProjectId,
    filter: &JobFilter,
    after: Option<JobId>,
    wanted: usize,
) -> Result<Found> {
    let mut reading = Reading::begin(store, project, filter, after, wanted).await?;
    if let Some(request_id) = &filter.request_id {
        return reading.by_request_id(request_id).await;
    }
    let parts = reading.parts().await?;
    let Some(labels) = labels(project, filter) else { return reading.parts_in_order(&parts, SCAN_MAX).await };
    let newest = reading.parts_in_order(&parts, FIRST_SCAN).await?;
    if newest.ids.len() >= wanted || newest.stopped_at.is_none() {
        return Ok(newest);
    }
    drop(reading);
    // All jobs with these labels, unless there are too many to be read in time: then the list goes on in order.
    if let Some(found) = Reading::begin(store, project, filter, after, wanted).await?.by_labels(&labels).await? {
        return Ok(found);
    }
    let mut reading = Reading::begin(store, project, filter, after, wanted).await?;
    reading.parts_in_order(&parts, SCAN_MAX).await
}

impl Found {
    /// Puts together what several parts gave. Below the highest place where one of them stopped, jobs may be missing.
    fn merge(parts: Vec<Self>) -> Self {
        let stopped_at = parts.iter().filter_map(|part| part.stopped_at).max();
        let mut ids: Vec<JobId> = parts.into_iter().flat_map(|part| part.ids).collect();
        ids.retain(|id| stopped_at.is_none_or(|stopped_at| *id >= stopped_at));
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Self { ids, stopped_at }
    }
}

impl Span {
    /// An id tells when it was minted, so that a list of an old day need not be walked down to, and ends with its day.
    ///
    /// Ids are minted by the machine's clock and rows are stamped by the database's, which tests set `ahead` and never back.
    fn of(filter: &JobFilter, after: Option<JobId>, ahead: TimeDelta) -> Self {
        let before = filter.created_before.and_then(|before| before.checked_add_signed(CLOCKS_DIFFER_BY)).and_then(at);
        let upper = after.map_or(Uuid::max(), |id| id.0).min(before.unwrap_or(Uuid::max()));
        let from = filter.created_from.and_then(|from| from.checked_sub_signed(CLOCKS_DIFFER_BY + ahead)).and_then(at);
        Self { lowest: from.unwrap_or(Uuid::nil()), upper }
    }
}

/// The lowest id of an instant; nothing before 1970.
fn at(instant: DateTime<Utc>) -> Option<Uuid> {
    let ms = u128::try_from(instant.timestamp_millis()).ok().filter(|ms| *ms < 1 << 48)?;
    Some(Uuid::from_u128(ms << 80))
}

/// What the index of labels is asked for; nothing where the filter names no label, or none that the index holds: it knows
/// values, not empty objects and lists.
fn labels(project: ProjectId, filter: &JobFilter) -> Option<Value> {
    let mut labels = serde_json::Map::new();
    if let Some(tag) = &filter.tag {
        labels.insert("tags".to_owned(), json!([tag]));
    }
    if let Some(metadata) = filter.metadata.as_ref().filter(|metadata| has_value(metadata)) {
        labels.insert("metadata".to_owned(), metadata.clone());
    }
    (!labels.is_empty()).then(|| json!({ project.0.to_string(): labels }))
}

fn has_value(json: &Value) -> bool {
    match json {
        Value::Object(members) => members.values().any(has_value),
        Value::Array(items) => items.iter().any(has_value),
        _ => true,
    }
}
