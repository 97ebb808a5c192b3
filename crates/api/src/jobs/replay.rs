//! `POST /v1/jobs/{id}/refetch`, which is free, and `/regenerate`, which costs money.

use super::{submit, view::JobJson};
use crate::{
    ApiState, Problem, ProblemKind,
    auth::Caller,
    body::RawBody,
    idempotency,
    members::{Members, members},
    openapi::{bodies, params},
    path::JobPath,
};
use axum::{Json, extract::State, response::Response};
use bytes::Bytes;
use domain::{AttemptId, JobId};
use fal::{EndpointId, client::ResultOutcome};
use http::{HeaderMap, StatusCode};
use rust_decimal::Decimal;
use serde_json::{json, value::RawValue};
use store::{
    accept::Accepted,
    audit::{Action, Entry, Outcome},
    jobs::{self, JobInput, RefetchSource, Refetched},
    keys::Scope,
};
use submitter::JobRequest;

/// Reads fal's result again, for a job that failed or whose result was lost. A job that has its result is answered as
/// it is.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/refetch", operation_id = "refetch_job", tag = "jobs", security(("key" = ["operate"])),
    params(("id" = Uuid, Path, description = "The job's id.")),
    responses((status = 202, description = "The job that holds the result.", body = JobJson)),
    extensions(("x-problems" = json!(["job-not-found", "job-open", "nothing-to-refetch", "result-gone", "fal-unavailable"]))),
)]
pub(crate) async fn refetch(
    State(api): State<ApiState>,
    caller: Caller,
    JobPath(id): JobPath,
) -> Result<(StatusCode, Json<JobJson>), Problem> {
    caller.must(Scope::Operate)?;
    let source = jobs::refetch_source(&api.store, Some(caller.project), id).await?.ok_or(ProblemKind::JobNotFound)?;
    let holder = match (source.state.as_str(), source.refetched_as) {
        ("succeeded", _) if source.has_result => id,
        (_, Some(earlier)) => earlier,
        ("succeeded" | "failed", None) => {
            let fetched = fetch_again(&api, id, &source).await;
            note_refetched(&api, &caller, id, &fetched).await;
            fetched.map_err(|problem| caller.without_words(problem))?
        }
        ("canceled", None) => return Err(nothing("The job was canceled.")),
        _ => return Err(ProblemKind::JobOpen.into()),
    };
    let job = jobs::get(&api.store, Some(caller.project), holder).await?.ok_or(ProblemKind::JobNotFound)?;
    Ok((StatusCode::ACCEPTED, Json(JobJson::of(job, caller.payloads))))
}

/// Makes a new job of the same input, or of an edited one, and pays for it again.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/regenerate", operation_id = "regenerate_job", tag = "jobs", security(("key" = ["submit"])),
    params(("id" = Uuid, Path, description = "The job's id."), params::Idempotency),
    request_body(content = Option<bodies::Regeneration>, content_type = "application/json"),
    responses((status = 202, description = "The new job.", body = JobJson)),
    extensions(("x-problems" = json!(["job-not-found", "cost-unknown", "cost-too-high", "idempotency-key-reused", "input-unknown"]))),
)]
pub(crate) async fn regenerate(
    State(api): State<ApiState>,
    caller: Caller,
    JobPath(id): JobPath,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    caller.must(Scope::Submit)?;
    let idempotency = idempotency::read(&headers, &format!("POST /v1/jobs/{id}/regenerate"), &body)?;
    let source = jobs::input(&api.store, Some(caller.project), id).await?.ok_or(ProblemKind::JobNotFound)?;
    let mut members = members(&body)?;
    let max_cost = members.take("max_cost").map(read_max_cost).transpose()?;
    if members.has("model") {
        return Err(Problem::field("model", "is not a field of a regeneration"));
    }
    if source.input.is_empty() && !members.has("input") {
        return Err(ProblemKind::InputUnknown.into());
    }
    let request = JobRequest { regenerated_from: Some(id), ..JobRequest::parse(&edited(&source, &members))? };
    if let Some(max_cost) = max_cost {
        check_cost(api.intake.submitter.estimate(&request), max_cost)?;
    }
    let accepted = api.intake.accept(caller.project, request, idempotency).await?;
    if let Accepted::Created(made) = accepted.accepted {
        let entry = Entry::done(Action::JobRegenerated, Some(caller.project), id).with(json!({ "job_id": made }));
        api.note(&caller, entry).await;
    }
    submit::answer(&api, &caller, accepted).await
}

async fn note_refetched(api: &ApiState, caller: &Caller, id: JobId, fetched: &Result<JobId, Problem>) {
    let entry = Entry::done(Action::JobRefetched, Some(caller.project), id);
    let entry = match fetched {
        Ok(holder) => entry.with(json!({ "job_id": holder })),
        Err(problem) => Entry { outcome: Outcome::Failed, ..entry.with(json!({ "problem": problem.kind.slug() })) },
    };
    api.note(caller, entry).await;
}

/// Asks fal, and keeps what it gives. Answers with the job that holds the result.
async fn fetch_again(api: &ApiState, id: JobId, source: &RefetchSource) -> Result<JobId, Problem> {
    let (attempt, request_id) =
        source.attempt.as_ref().ok_or_else(|| nothing("fal never gave the job a request id."))?;
    let model = EndpointId::parse(&source.model).map_err(|_| nothing("The model's name is not one of fal's."))?;
    let fal = api.accounts.client(source.credential).await.map_err(|why| {
        tracing::warn!(job.id = %id, why = &why as &dyn std::error::Error, "a result cannot be fetched");
        Problem::from(ProblemKind::FalUnavailable).detail("The key of the job's fal account cannot be used.")
    })?;
    let body = match fal.result(&model, request_id).await {
        ResultOutcome::Ok { body, .. } => body,
        ResultOutcome::ModelError { message, .. } => return Err(nothing(&format!("fal holds an error: {message}"))),
        ResultOutcome::NotReady => return Err(nothing("fal has not finished the run.")),
        ResultOutcome::TooLarge => return Err(nothing("The result is larger than we are set to read.")),
        ResultOutcome::Gone => return Err(ProblemKind::ResultGone.into()),
        ResultOutcome::RateLimited { .. } => {
            return Err(Problem::from(ProblemKind::FalUnavailable).detail("fal asks to wait."));
        }
        ResultOutcome::CredentialRefused { .. } => {
            return Err(Problem::from(ProblemKind::FalUnavailable).detail("fal refuses the key."));
        }
        ResultOutcome::Unavailable { message } => {
            tracing::warn!(job.id = %id, message, "fal could not be asked for a result");
            return Err(ProblemKind::FalUnavailable.into());
        }
    };
    keep(api, id, source, *attempt, &body).await
}

async fn keep(
    api: &ApiState,
    id: JobId,
    source: &RefetchSource,
    attempt: AttemptId,
    body: &Bytes,
) -> Result<JobId, Problem> {
    if source.state == "succeeded" {
        jobs::restore_result(&api.store, id, body).await?;
        tracing::info!(job.id = %id, "the lost result of job {id} was fetched again");
        return Ok(id);
    }
    let fresh = (JobId(store::fresh_id()), AttemptId(store::fresh_id()));
    match jobs::insert_refetched(&api.store, id, attempt, fresh, body).await? {
        Refetched::Created(made) | Refetched::Found(made) => {
            tracing::info!(job.id = %made, job.refetched_from = %id, "the result of job {id} was fetched again");
            Ok(made)
        }
        Refetched::Gone => Err(ProblemKind::JobNotFound.into()),
    }
}

fn nothing(why: &str) -> Problem {
    Problem::from(ProblemKind::NothingToRefetch).detail(why)
}

/// Writes the body that `POST /v1/jobs` would take: what the caller edits, and for the rest what the first job had. Values
/// are copied byte for byte.
fn edited(source: &JobInput, edits: &Members<'_>) -> Vec<u8> {
    let mut body = format!("{{\"model\":{}", json!(source.model)).into_bytes();
    let mut put = |name: &str, value: &[u8]| {
        body.extend_from_slice(format!(",{}:", json!(name)).as_bytes());
        body.extend_from_slice(value);
    };
    for (name, value) in &edits.0 {
        put(name, value.get().as_bytes());
    }
    let rest = [
        ("priority", json!(source.priority)),
        ("tags", json!(source.tags)),
        ("metadata", source.metadata.clone()),
        ("max_attempts", json!(source.attempts_max)),
        ("on_unknown", json!(source.on_unknown)),
    ];
    for (name, value) in rest.iter().filter(|(name, _)| !edits.has(name)) {
        put(name, value.to_string().as_bytes());
    }
    if !edits.has("input") {
        put("input", &source.input);
    }
    body.push(b'}');
    body
}

fn read_max_cost(value: &RawValue) -> Result<Decimal, Problem> {
    let text: Option<String> = serde_json::from_str(value.get()).ok();
    let cost = text.and_then(|text| Decimal::from_str_exact(&text).ok()).filter(|cost| !cost.is_sign_negative());
    cost.ok_or_else(|| Problem::field("max_cost", "must be a decimal such as \"0.05\", not below zero"))
}

fn check_cost(estimate: Option<Decimal>, max_cost: Decimal) -> Result<(), Problem> {
    let Some(estimate) = estimate else { return Err(ProblemKind::CostUnknown.into()) };
    if estimate <= max_cost {
        return Ok(());
    }
    let told = |amount: Decimal| json!(amount.normalize().to_string());
    Err(Problem::from(ProblemKind::CostTooHigh)
        .with("estimated", told(estimate))
        .with("max_cost", told(max_cost))
        .with("currency", json!("USD")))
}
