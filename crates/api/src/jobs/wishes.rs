//! `POST /v1/jobs/{id}/cancel`.

use super::view::JobJson;
use crate::{ApiState, Problem, ProblemKind, auth::Caller, path::JobPath};
use axum::{Json, extract::State};
use domain::JobEvent;
use http::StatusCode;
use store::{
    audit::{Action, Entry},
    jobs,
    keys::Scope,
    settle::{JobNews, JobOutcome},
};

/// Asks for a job's end. What runs at fal is only a wish until fal confirms it.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/cancel", operation_id = "cancel_job", tag = "jobs", security(("key" = ["operate"])),
    params(("id" = Uuid, Path, description = "The job's id.")),
    responses((status = 202, description = "The job as it is now.", body = JobJson)),
    extensions(("x-problems" = json!(["job-not-found", "job-terminal"]))),
)]
pub(crate) async fn cancel(
    State(api): State<ApiState>,
    caller: Caller,
    JobPath(id): JobPath,
) -> Result<(StatusCode, Json<JobJson>), Problem> {
    caller.must(Scope::Operate)?;
    let wish = JobNews { job: id, project: Some(caller.project), event: JobEvent::CancelRequested };
    match api.settler.job(wish).await? {
        JobOutcome::NotFound => return Err(ProblemKind::JobNotFound.into()),
        JobOutcome::Unchanged { terminal: true } => return Err(ProblemKind::JobTerminal.into()),
        JobOutcome::Unchanged { terminal: false } | JobOutcome::Changed => {}
    }
    api.note(&caller, Entry::done(Action::JobCanceled, Some(caller.project), id)).await;
    let job = jobs::get(&api.store, Some(caller.project), id).await?.ok_or(ProblemKind::JobNotFound)?;
    Ok((StatusCode::ACCEPTED, Json(JobJson::of(job, caller.payloads))))
}
