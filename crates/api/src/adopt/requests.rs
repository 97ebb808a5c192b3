//! `POST /v1/jobs/adopt`.

use super::body;
use crate::{
    ApiState, Problem, ProblemKind,
    auth::Caller,
    body::RawBody,
    idempotency,
    jobs::view::JobJson,
    openapi::{bodies, params},
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{CredentialId, RequestId};
use fal::{EndpointId, client::StatusOutcome, request_id::is_usable_request_id};
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;
use store::{
    accept::Accepted,
    adopt::{Adopted, NewAdoption, adopt, must_ask},
    jobs,
    keys::Scope,
};

const ROUTE: &str = "POST /v1/jobs/adopt";

/// Takes over a request that fal has already.
///
/// fal is asked whether it knows the request under the project's account; where it does, the job is bound to it and looked
/// after as if Falconer had sent it, but for being sent again. A request that a job of the project holds already is answered
/// with that job.
#[utoipa::path(
    post, path = "/v1/jobs/adopt", operation_id = "adopt_request", tag = "adopt", security(("key" = ["submit"])),
    params(params::Idempotency),
    request_body(content = bodies::AdoptRequest, content_type = "application/json"),
    responses((status = 202, description = "The job that holds the request.", body = JobJson, headers(
        ("idempotency-replayed" = String, description = "`true` where a job held the request before."),
    ))),
    extensions(("x-problems" = json!(["request-not-found", "fal-unavailable", "idempotency-key-reused"]))),
)]
pub(crate) async fn take(
    State(api): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    RawBody(raw): RawBody,
) -> Result<Response, Problem> {
    caller.must(Scope::Submit)?;
    let idempotency = idempotency::read(&headers, ROUTE, &raw)?;
    let (told, [request_id]) = body::read(&api, &caller, &raw, idempotency, ["request_id"])?;
    let request_id = read_request_id(request_id)?;
    let asked = must_ask(&api.store, &told, &request_id).await?;
    if let Some(credential) = asked {
        ask(&api, credential, &told.model, &request_id).await?;
    }
    let new = NewAdoption { told, request_id, timeouts: api.adopt.timeouts, asked };
    let accepted = match adopt(&api.store, &new).await? {
        Adopted::Taken(Accepted::KeyReused(_)) => return Err(ProblemKind::IdempotencyKeyReused.into()),
        Adopted::Taken(accepted) => accepted,
        // As for every other thing of another project: as if it were not there.
        Adopted::NotOurs => return Err(ProblemKind::RequestNotFound.into()),
        Adopted::AskAgain => return Err(ProblemKind::Unavailable.into()),
    };
    api.wakes.reconcile.notify_one();
    let id = accepted.job();
    tracing::info!(job.id = %id, key.id = %caller.key, "a request was adopted as job {id}");
    let job = jobs::get(&api.store, Some(caller.project), id).await?.ok_or(ProblemKind::JobNotFound)?;
    let mut response = (StatusCode::ACCEPTED, Json(JobJson::of(job, caller.payloads))).into_response();
    if let Accepted::Replayed(_) = accepted {
        super::replayed(&mut response);
    }
    Ok(response)
}

fn read_request_id(value: Option<&RawValue>) -> Result<RequestId, Problem> {
    let value = value.ok_or_else(|| Problem::field("request_id", "is required"))?;
    let text: Option<String> = serde_json::from_str(value.get()).ok();
    text.filter(|text| is_usable_request_id(text))
        .map(RequestId)
        .ok_or_else(|| Problem::field("request_id", "must be 1 to 128 letters, digits, `-` and `_`, as fal gave it"))
}

/// Asks fal whether it knows the request by the key of this account.
async fn ask(api: &ApiState, credential: CredentialId, model: &str, request_id: &RequestId) -> Result<(), Problem> {
    let away = |why: &str| Problem::from(ProblemKind::FalUnavailable).detail(why);
    let endpoint = EndpointId::parse(model).map_err(|error| Problem::field("model", error.to_string()))?;
    let client = api.accounts.client(credential).await.map_err(|why| {
        tracing::warn!(credential.id = %credential, why = &why as &dyn std::error::Error, "fal cannot be asked");
        away("The key of the fal account cannot be used.")
    })?;
    match client.status(&endpoint, &request_id.0).await {
        StatusOutcome::InQueue { .. } | StatusOutcome::InProgress | StatusOutcome::Completed { .. } => Ok(()),
        StatusOutcome::NotFound => Err(ProblemKind::RequestNotFound.into()),
        StatusOutcome::RateLimited { .. } => Err(away("fal asks to wait.")),
        StatusOutcome::CredentialRefused { .. } => Err(away("fal refuses the key.")),
        StatusOutcome::Unavailable { message } => {
            tracing::warn!(message, "fal could not be asked about a request that is to be adopted");
            Err(ProblemKind::FalUnavailable.into())
        }
    }
}
