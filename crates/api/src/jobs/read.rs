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
use utoipa::ToSchema;

const WAIT_DEFAULT: Duration = Duration::from_secs(30);

#[derive(Serialize, ToSchema)]
#[schema(as = Timeline)]
pub(crate) struct TimelineJson {
    items: Vec<EntryJson>,
    /// A history is told whole; the member makes it read as every list does.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TimelineEntry)]
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
#[utoipa::path(
    get, path = "/v1/jobs/{id}", operation_id = "get_job", tag = "jobs", security(("key" = ["read"])),
    params(("id" = Uuid, Path, description = "The job's id.")),
    responses((status = 200, description = "The job.", body = JobJson)),
    extensions(("x-problems" = json!(["job-not-found"]))),
)]
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    JobPath(id): JobPath,
) -> Result<Json<JobJson>, Problem> {
    caller.must(Scope::Read)?;
    let project = Some(caller.project).filter(|_| !failpoints::seeded(Bug::NoTenantCheck));
    let job = jobs::get(&api.store, project, id).await?.ok_or(ProblemKind::JobNotFound)?;
    Ok(Json(JobJson::of(job, caller.payloads)))
}

/// Gives fal's output, byte for byte.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/result", operation_id = "get_job_result", tag = "jobs", security(("key" = ["read"])),
    params(("id" = Uuid, Path, description = "The job's id.")),
    responses((status = 200, description = "fal's answer, as it came.", body = serde_json::Value, content_type = "application/json")),
    extensions(("x-problems" = json!(["payloads-hidden", "job-not-found", "job-open", "job-failed", "job-canceled", "result-lost"]))),
)]
pub(crate) async fn result(
    State(api): State<ApiState>,
    caller: Caller,
    JobPath(id): JobPath,
) -> Result<Response, Problem> {
    caller.must(Scope::Read)?;
    caller.must_see_payloads()?;
    match jobs::result(&api.store, Some(caller.project), id).await? {
        JobResult::Found(body) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
            Ok((headers, body).into_response())
        }
        JobResult::Open => Err(ProblemKind::JobOpen.into()),
        JobResult::Failed(error) => {
            Err(Problem::new(ProblemKind::JobFailed).with("error", json!(ErrorJson::of(error, caller.payloads))))
        }
        JobResult::Canceled => Err(ProblemKind::JobCanceled.into()),
        JobResult::Lost => Err(ProblemKind::ResultLost.into()),
        JobResult::Missing => Err(ProblemKind::JobNotFound.into()),
    }
}

/// Tells everything that happened to a job, oldest first.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/timeline", operation_id = "get_job_timeline", tag = "jobs", security(("key" = ["read"])),
    params(("id" = Uuid, Path, description = "The job's id.")),
    responses((status = 200, description = "The whole history on one page.", body = TimelineJson)),
    extensions(("x-problems" = json!(["job-not-found"]))),
)]
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
        // It holds what fal said of the request.
        detail: entry.detail.filter(|_| !caller.payloads.are_hidden()),
    });
    Ok(Json(TimelineJson { items: items.collect(), next_cursor: None }))
}

/// Tells of a job once it has ended, or as it stands when the time is over.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/wait", operation_id = "wait_for_job", tag = "jobs", security(("key" = ["read"])),
    params(
        ("id" = Uuid, Path, description = "The job's id."),
        ("timeout" = Option<String>, Query, description = "A duration such as `30s`; a bare number means seconds. Cut to one minute.", example = "5s"),
    ),
    responses((status = 200, description = "The job, ended or not.", body = JobJson)),
    extensions(("x-problems" = json!(["job-not-found"]))),
)]
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
    let job = jobs::wait(&api.store, &api.watch, caller.project, id, timeout, &api.stop).await?;
    caller.recheck(&api).await?;
    Ok(Json(JobJson::of(job.ok_or(ProblemKind::JobNotFound)?, caller.payloads)))
}
