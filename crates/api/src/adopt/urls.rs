//! `POST /v1/callback-urls`.

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
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::Duration;
use store::{
    accept::Accepted,
    adopt::{Mint, NewMint, mint},
    jobs,
    keys::Scope,
};
use utoipa::ToSchema;

const ROUTE: &str = "POST /v1/callback-urls";
/// How soon a URL may expire.
const SOONEST: Duration = Duration::from_mins(1);
/// How late: as long as callbacks are kept.
const LATEST: Duration = Duration::from_hours(24 * 7);

/// A job that waits for its callback.
#[derive(Serialize, ToSchema)]
#[schema(as = CallbackUrl)]
pub(crate) struct CallbackUrlJson {
    #[serde(flatten)]
    job: JobJson,
    /// To hand to fal as `fal_webhook`, for one request. Whoever has it can have fal call it, so it is a secret.
    callback_url: String,
    /// Until when the callback is waited for.
    expires_at: DateTime<Utc>,
}

/// Mints a callback URL for a request that the caller sends to fal himself.
///
/// Hand it to fal as `fal_webhook`, for one request. Answers with the job that waits for fal's callback; Falconer sends
/// nothing for it. When nothing came by `expires_at` the job fails with the class `abandoned`.
#[utoipa::path(
    post, path = "/v1/callback-urls", operation_id = "create_callback_url", tag = "adopt",
    security(("key" = ["submit"])),
    params(params::Idempotency),
    request_body(content = bodies::CallbackUrlRequest, content_type = "application/json"),
    responses((status = 202, description = "The job that waits, and the URL.", body = CallbackUrlJson, headers(
        ("idempotency-replayed" = String, description = "`true` where an earlier request made the job."),
    ))),
    extensions(("x-problems" = json!(["callbacks-off", "idempotency-key-reused"]))),
)]
pub(crate) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    RawBody(raw): RawBody,
) -> Result<Response, Problem> {
    caller.must(Scope::Submit)?;
    let base = api.adopt.callback_base.as_ref().ok_or(ProblemKind::CallbacksOff)?;
    let idempotency = idempotency::read(&headers, ROUTE, &raw)?;
    let (told, [expires_at]) = body::read(&api, &caller, &raw, idempotency, ["expires_at"])?;
    let new = NewMint {
        told,
        expires_at: expires_at.map(read_time).transpose()?,
        expires_within: (SOONEST, LATEST),
        timeouts: api.adopt.timeouts,
    };
    let minted = match mint(&api.store, &new).await? {
        Mint::Made(minted) => minted,
        Mint::KeyReused => return Err(ProblemKind::IdempotencyKeyReused.into()),
        Mint::ExpiresTooSoonOrLate => {
            return Err(Problem::field("expires_at", "must lie from 1 minute to 7 days ahead"));
        }
    };
    let id = minted.accepted.job();
    let job = jobs::get(&api.store, Some(caller.project), id).await?.ok_or(ProblemKind::JobNotFound)?;
    let url = submitter::callback_url(base, &api.receiver.tokens, minted.credential, minted.attempt);
    let callback_url = url.ok_or(ProblemKind::CallbacksOff)?.into();
    tracing::info!(job.id = %id, key.id = %caller.key, "a callback URL was minted for job {id}");
    let told = CallbackUrlJson { job: JobJson::of(job, caller.payloads), callback_url, expires_at: minted.expires_at };
    let mut response = (StatusCode::ACCEPTED, Json(told)).into_response();
    if let Accepted::Replayed(_) = minted.accepted {
        super::replayed(&mut response);
    }
    Ok(response)
}

fn read_time(value: &RawValue) -> Result<DateTime<Utc>, Problem> {
    serde_json::from_str(value.get()).map_err(|_| Problem::field("expires_at", "must be an RFC 3339 time"))
}
