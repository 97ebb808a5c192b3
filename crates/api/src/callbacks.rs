//! The routes of callbacks: what fal sent, what became of it, and another try.

use crate::{
    ApiState, Problem, ProblemKind, auth::Caller, cursor, jobs::list::PageJson, openapi::params, path::CallbackPath,
    query::Query,
};
use axum::{
    Json,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use domain::{AttemptId, CallbackId, JobId};
use fal::jwks::Verdict;
use http::header;
use receiver::reprocess::{ReprocessError, StoredCallback as Again};
use serde::Serialize;
use store::{
    audit::{Action, Entry},
    callbacks::{self, CallbackFilter, CallbackView, StoredCallback},
    jobs,
    keys::{Payloads, Scope},
};
use utoipa::ToSchema;

const DISPOSITIONS: [&str; 4] = ["applied", "duplicate", "kept", "rejected"];

#[derive(Serialize, ToSchema)]
#[schema(as = Callback)]
pub(crate) struct CallbackJson {
    #[schema(value_type = Uuid)]
    id: CallbackId,
    received_at: DateTime<Utc>,
    disposition: String,
    cause: Option<String>,
    #[schema(value_type = Option<Uuid>)]
    job_id: Option<JobId>,
    #[schema(value_type = Option<Uuid>)]
    attempt_id: Option<AttemptId>,
    request_id: Option<String>,
    user_id: Option<String>,
    signed_at: Option<DateTime<Utc>>,
    body_bytes: i64,
    /// Null for a key that may not see payloads: who guesses the bytes could tell by it.
    body_sha256: Option<String>,
    links: Links,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CallbackLinks)]
struct Links {
    #[serde(rename = "self")]
    own: String,
    raw: String,
    job: Option<String>,
}

/// Which checks a stored callback passes today. Nothing where a check could not be made.
#[derive(Debug, Serialize, ToSchema, PartialEq, Eq)]
#[schema(as = CallbackChecks)]
pub(crate) struct Checks {
    bytes_kept: bool,
    headers: Option<bool>,
    signature: Option<bool>,
    /// Whether fal signed for the account that is pinned.
    user_id: Option<bool>,
    /// Whether it speaks of the request that its attempt is bound to.
    request_id: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CallbackVerified)]
pub(crate) struct Verified {
    #[schema(value_type = Uuid)]
    id: CallbackId,
    /// Whether every check was made and holds.
    genuine: bool,
    checks: Checks,
}

/// Lists callbacks, newest first: those of the project's own attempts, or all of them for an operator.
#[utoipa::path(
    get, path = "/v1/callbacks", operation_id = "list_callbacks", tag = "callbacks", security(("key" = ["read"])),
    params(
        params::Paging,
        ("disposition" = Option<String>, Query, description = "`applied`, `duplicate`, `kept` or `rejected`."),
        ("cause" = Option<String>, Query, description = "Why it was kept or rejected."),
        ("attempt_id" = Option<Uuid>, Query, description = "Of this attempt."),
        ("job_id" = Option<Uuid>, Query, description = "Of this job."),
        ("request_id" = Option<String>, Query, description = "That speak of this request at fal."),
    ),
    responses((status = 200, description = "One page.", body = PageJson<CallbackJson>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Json<PageJson<CallbackJson>>, Problem> {
    caller.must(Scope::Read)?;
    let mut query = Query::parse(raw.as_deref());
    let paging = query.paging();
    let filter = CallbackFilter {
        disposition: query.text("disposition"),
        cause: query.text("cause"),
        attempt: query.value("attempt_id", "must be a UUID").map(AttemptId),
        job: query.value("job_id", "must be a UUID").map(JobId),
        request_id: query.text("request_id"),
    };
    if filter.disposition.as_deref().is_some_and(|wanted| !DISPOSITIONS.contains(&wanted)) {
        query.refuse("disposition", &format!("must be one of {}", DISPOSITIONS.join(", ")));
    }
    query.finish()?;
    let after = paging.after.map(CallbackId);
    let page = callbacks::list(&api.store, caller.reader(), &filter, after, paging.limit).await?;
    Ok(Json(PageJson {
        items: page.items.into_iter().map(|view| CallbackJson::of(view, caller.payloads)).collect(),
        next_cursor: page.next.map(|id| cursor::write(id.0)),
    }))
}

/// Tells of one callback.
#[utoipa::path(
    get, path = "/v1/callbacks/{id}", operation_id = "get_callback", tag = "callbacks", security(("key" = ["read"])),
    params(("id" = Uuid, Path, description = "The callback's id.")),
    responses((status = 200, description = "The callback.", body = CallbackJson)),
    extensions(("x-problems" = json!(["callback-not-found"]))),
)]
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    CallbackPath(id): CallbackPath,
) -> Result<Json<CallbackJson>, Problem> {
    caller.must(Scope::Read)?;
    Ok(Json(CallbackJson::of(find(&api, &caller, id).await?.view, caller.payloads)))
}

/// Gives the bytes as they came. They are a stranger's, so no browser is let guess what they are.
#[utoipa::path(
    get, path = "/v1/callbacks/{id}/raw", operation_id = "get_callback_bytes", tag = "callbacks", security(("key" = ["read"])),
    params(("id" = Uuid, Path, description = "The callback's id.")),
    responses((status = 200, description = "The bytes as they came.", body = Vec<u8>, content_type = "application/octet-stream")),
    extensions(("x-problems" = json!(["payloads-hidden", "callback-not-found", "bytes-not-kept"]))),
)]
pub(crate) async fn raw(
    State(api): State<ApiState>,
    caller: Caller,
    CallbackPath(id): CallbackPath,
) -> Result<Response, Problem> {
    caller.must(Scope::Read)?;
    caller.must_see_payloads()?;
    let body = find(&api, &caller, id).await?.body.ok_or(ProblemKind::BytesNotKept)?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, body).into_response())
}

/// Checks a stored callback with today's keys, and says which checks hold. Changes nothing.
#[utoipa::path(
    post, path = "/v1/callbacks/{id}/verify", operation_id = "verify_callback", tag = "callbacks", security(("key" = ["read"])),
    params(("id" = Uuid, Path, description = "The callback's id.")),
    responses((status = 200, description = "Which checks hold.", body = Verified)),
    extensions(("x-problems" = json!(["callback-not-found"]))),
)]
pub(crate) async fn verify(
    State(api): State<ApiState>,
    caller: Caller,
    CallbackPath(id): CallbackPath,
) -> Result<Json<Verified>, Problem> {
    caller.must(Scope::Read)?;
    let stored = find(&api, &caller, id).await?;
    let mut checks = Checks {
        bytes_kept: stored.body.is_some(),
        headers: None,
        signature: None,
        user_id: agree(stored.view.user_id.as_deref(), stored.pinned_user_id.as_deref()),
        request_id: agree(stored.view.request_id.as_deref(), stored.bound_request_id.as_deref()),
    };
    if checks.bytes_kept {
        let verdict = match again(&stored) {
            Some(again) => api.receiver.verify_again(&again).await.ok(),
            None => None,
        };
        checks.headers = Some(verdict.is_some());
        checks.signature = match verdict {
            Some(Verdict::Genuine) => Some(true),
            Some(Verdict::Forged) => Some(false),
            Some(Verdict::CannotCheck) | None => None,
        };
    }
    Ok(Json(Verified { id, genuine: checks.all_hold(), checks }))
}

/// Processes a stored callback again: checked as every callback is, but for its age.
#[utoipa::path(
    post, path = "/v1/callbacks/{id}/reprocess", operation_id = "reprocess_callback", tag = "callbacks", security(("key" = ["operate"])),
    params(("id" = Uuid, Path, description = "The callback's id.")),
    responses((status = 200, description = "The callback as it is now.", body = CallbackJson)),
    extensions(("x-problems" = json!(["callback-not-found", "bytes-not-kept", "callback-not-genuine"]))),
)]
pub(crate) async fn reprocess(
    State(api): State<ApiState>,
    caller: Caller,
    CallbackPath(id): CallbackPath,
) -> Result<Json<CallbackJson>, Problem> {
    caller.must(Scope::Operate)?;
    let stored = find(&api, &caller, id).await?;
    if stored.body.is_none() {
        return Err(ProblemKind::BytesNotKept.into());
    }
    let again = again(&stored).ok_or_else(|| not_genuine("Its headers are not those that fal sends."))?;
    let disposition = api.receiver.reprocess(again).await.map_err(refusal)?;
    note_reprocessed(&api, &caller, &stored.view).await?;
    tracing::info!(callback.id = %id, key.id = %caller.key, disposition = disposition.names().0, "callback {id} was processed again");
    Ok(Json(CallbackJson::of(find(&api, &caller, id).await?.view, caller.payloads)))
}

/// Says that a callback was processed again. It belongs to the project whose job it speaks of.
async fn note_reprocessed(api: &ApiState, caller: &Caller, view: &CallbackView) -> Result<(), Problem> {
    let job = match view.job {
        Some(id) => jobs::get(&api.store, None, id).await?,
        None => None,
    };
    let entry = Entry::done(Action::CallbackReprocessed, job.map(|job| job.project), view.id);
    api.note(caller, entry).await;
    Ok(())
}

impl Checks {
    fn all_hold(&self) -> bool {
        let all = [Some(self.bytes_kept), self.headers, self.signature, self.user_id, self.request_id];
        all.iter().all(|check| *check == Some(true))
    }
}

impl CallbackJson {
    fn of(view: CallbackView, payloads: Payloads) -> Self {
        let own = format!("/v1/callbacks/{}", view.id);
        Self {
            id: view.id,
            received_at: view.received_at,
            disposition: view.disposition,
            cause: view.cause,
            job_id: view.job,
            attempt_id: view.attempt,
            request_id: view.request_id,
            user_id: view.user_id,
            signed_at: view.signed_at.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
            body_bytes: view.body_bytes,
            body_sha256: view.body_sha256.map(hex::encode).filter(|_| !payloads.are_hidden()),
            links: Links { raw: format!("{own}/raw"), job: view.job.map(|id| format!("/v1/jobs/{id}")), own },
        }
    }
}

async fn find(api: &ApiState, caller: &Caller, id: CallbackId) -> Result<StoredCallback, Problem> {
    let found = callbacks::get(&api.store, caller.reader(), id).await?;
    found.ok_or(ProblemKind::CallbackNotFound.into())
}

/// What the receiver needs of a stored callback; nothing where it lacks a part that fal always sends.
fn again(stored: &StoredCallback) -> Option<Again> {
    let view = &stored.view;
    Some(Again {
        id: view.id,
        credential: stored.credential?,
        attempt: view.attempt?,
        request_id: view.request_id.clone()?,
        user_id: view.user_id.clone()?,
        signed_at: view.signed_at?,
        signature: view.signature.clone()?,
        body: stored.body.clone()?.into(),
    })
}

fn agree(told: Option<&str>, known: Option<&str>) -> Option<bool> {
    Some(told? == known?)
}

fn refusal(error: ReprocessError) -> Problem {
    match error {
        ReprocessError::Headers => not_genuine("Its headers are not those that fal sends."),
        ReprocessError::Forged => not_genuine("The signature does not fit the stored bytes."),
        ReprocessError::OtherRequest => not_genuine("Its body speaks of another request than its header."),
        ReprocessError::CannotCheck => {
            Problem::from(ProblemKind::Unavailable).detail("fal's signing keys are not at hand.")
        }
        ReprocessError::Store(error) => error.into(),
    }
}

fn not_genuine(why: &str) -> Problem {
    Problem::from(ProblemKind::CallbackNotGenuine).detail(why)
}
