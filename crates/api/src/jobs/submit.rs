//! `POST /v1/jobs`.

use super::view::JobJson;
use crate::{
    ApiState, Problem, ProblemKind,
    auth::Caller,
    body::RawBody,
    idempotency,
    openapi::{bodies, params},
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use store::{
    accept::{Accepted, Answer},
    jobs,
    keys::Scope,
};
use submitter::JobRequest;

/// Accepts a job. Returns once it is committed and before any work is done.
#[utoipa::path(
    post, path = "/v1/jobs", operation_id = "submit_job", tag = "jobs", security(("key" = ["submit"])),
    params(params::Idempotency),
    request_body(content = bodies::JobRequest, content_type = "application/json"),
    responses(
        (status = 202, description = "The job, committed.", body = JobJson, headers(
            ("idempotency-replayed" = String, description = "`true` where an earlier request made the job."),
            ("unique-conflict" = String, description = "`true` where a job with the same `unique.key` was found."),
        )),
    ),
    extensions(("x-problems" = json!(["idempotency-key-reused"]))),
)]
pub(crate) async fn submit(
    State(api): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    caller.must(Scope::Submit)?;
    let idempotency = idempotency::read(&headers, "POST /v1/jobs", &body)?;
    let request = JobRequest::parse(&body)?;
    let made = api.intake.accept(caller.project, request, idempotency).await?;
    answer(&api, &caller, made).await
}

/// Tells of the job that was made or found: 202, or 422 where the key was used for another request.
pub(super) async fn answer(api: &ApiState, caller: &Caller, made: Answer) -> Result<Response, Problem> {
    let Answer { accepted, view } = made;
    if let Accepted::KeyReused(_) = accepted {
        return Err(ProblemKind::IdempotencyKeyReused.into());
    }
    let job = match view {
        Some(view) => view,
        None => jobs::get(&api.store, Some(caller.project), accepted.job()).await?.ok_or(ProblemKind::JobNotFound)?,
    };
    let mut response = (StatusCode::ACCEPTED, Json(JobJson::of(job, caller.payloads))).into_response();
    let note = match accepted {
        Accepted::Replayed(_) => "idempotency-replayed",
        Accepted::NotUnique(_) => "unique-conflict",
        Accepted::Created(_) | Accepted::KeyReused(_) => return Ok(response),
    };
    response.headers_mut().insert(HeaderName::from_static(note), HeaderValue::from_static("true"));
    Ok(response)
}
