//! One job: itself, its result, its history, and the wait for its end.

use super::view::{ErrorJson, JobJson};
use crate::{ApiState, Problem, ProblemKind, auth::Caller, path::JobPath, query::Query};
use axum::{
    Json,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use failpoints::Bug;
use http::header;
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use store::{
    jobs::{self, JobResult},
    keys::Scope,
};

const WAIT_DEFAULT: Duration = Duration::from_secs(30);

#[derive(Serialize)]
pub(crate) struct TimelineJson {
    items: Vec<EntryJson>,
    /// A history is told whole; the member makes it read as every list does.
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct EntryJson {
    at: DateTime<Utc>,
    kind: &'static str,
    event: String,
    attempt: Option<i16>,
    from: Option<String>,
    to: Option<String>,
    detail: Option<String>,
}

/// Tells of one job.
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    JobPath(id): JobPath,
) -> Result<Json<JobJson>, Problem> {
    caller.must(Scope::Read)?;
    let project = Some(caller.project).filter(|_| !failpoints::seeded(Bug::NoTenantCheck));
    let job = jobs::get(&api.store, project, id).await?.ok_or(ProblemKind::JobNotFound)?;
    Ok(Json(job.into()))
}

/// Gives fal's output, byte for byte.
pub(crate) async fn result(
    State(api): State<ApiState>,
    caller: Caller,
    JobPath(id): JobPath,
) -> Result<Response, Problem> {
    caller.must(Scope::Read)?;
    match jobs::result(&api.store, Some(caller.project), id).await? {
        JobResult::Found(body) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
            Ok((headers, body).into_response())
        }
        JobResult::Open => Err(ProblemKind::JobOpen.into()),
        JobResult::Failed(error) => {
            Err(Problem::new(ProblemKind::JobFailed).with("error", json!(ErrorJson::from(error))))
        }
        JobResult::Canceled => Err(ProblemKind::JobCanceled.into()),
        JobResult::Lost => Err(ProblemKind::ResultLost.into()),
        JobResult::Missing => Err(ProblemKind::JobNotFound.into()),
    }
}

/// Tells everything that happened to a job, oldest first.
pub(crate) async fn timeline(
    State(api): State<ApiState>,
    caller: Caller,
    JobPath(id): JobPath,
) -> Result<Json<TimelineJson>, Problem> {
    caller.must(Scope::Read)?;
    let entries = jobs::timeline(&api.store, Some(caller.project), id).await?.ok_or(ProblemKind::JobNotFound)?;
    let items = entries.into_iter().map(|entry| EntryJson {
        at: entry.at,
        kind: entry.kind.as_str(),
        event: entry.event,
        attempt: entry.attempt,
        from: entry.from,
        to: entry.to,
        detail: entry.detail,
    });
    Ok(Json(TimelineJson { items: items.collect(), next_cursor: None }))
}

/// Tells of a job once it has ended, or as it stands when the time is over.
pub(crate) async fn wait(
    State(api): State<ApiState>,
    caller: Caller,
    JobPath(id): JobPath,
    RawQuery(raw): RawQuery,
) -> Result<Json<JobJson>, Problem> {
    caller.must(Scope::Read)?;
    let mut query = Query::parse(raw.as_deref());
    let timeout = query.duration("timeout").unwrap_or(WAIT_DEFAULT).min(api.limits.wait_max);
    query.finish()?;
    let job = jobs::wait(&api.store, &api.wakes, Some(caller.project), id, timeout, &api.stop).await?;
    Ok(Json(job.ok_or(ProblemKind::JobNotFound)?.into()))
}
