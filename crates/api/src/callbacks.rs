//! The routes of callbacks: what fal sent, what became of it, and another try.

use crate::{
    ApiState, Problem, ProblemKind, auth::Caller, cursor, jobs::list::PageJson, path::CallbackPath, query::Query,
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
    callbacks::{self, CallbackFilter, CallbackView, StoredCallback},
    keys::Scope,
};

const DISPOSITIONS: [&str; 4] = ["applied", "duplicate", "kept", "rejected"];

#[derive(Serialize)]
pub(crate) struct CallbackJson {
    id: CallbackId,
    received_at: DateTime<Utc>,
    disposition: String,
    cause: Option<String>,
    job_id: Option<JobId>,
    attempt_id: Option<AttemptId>,
    request_id: Option<String>,
    user_id: Option<String>,
    signed_at: Option<DateTime<Utc>>,
    body_bytes: i64,
    body_sha256: Option<String>,
    links: Links,
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    own: String,
    raw: String,
    job: Option<String>,
}

/// Which checks a stored callback passes today. Nothing where a check could not be made.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Checks {
    bytes_kept: bool,
    headers: Option<bool>,
    signature: Option<bool>,
    /// Whether fal signed for the account that is pinned.
    user_id: Option<bool>,
    /// Whether it speaks of the request that its attempt is bound to.
    request_id: Option<bool>,
}

#[derive(Serialize)]
pub(crate) struct Verified {
    id: CallbackId,
    /// Whether every check was made and holds.
    genuine: bool,
    checks: Checks,
}

/// Lists callbacks, newest first: those of the project's own attempts, or all of them for an operator.
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
        items: page.items.into_iter().map(CallbackJson::from).collect(),
        next_cursor: page.next.map(|id| cursor::write(id.0)),
    }))
}

/// Tells of one callback.
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    CallbackPath(id): CallbackPath,
) -> Result<Json<CallbackJson>, Problem> {
    caller.must(Scope::Read)?;
    Ok(Json(find(&api, &caller, id).await?.view.into()))
}

/// Gives the bytes as they came. They are a stranger's, so no browser is let guess what they are.
pub(crate) async fn raw(
    State(api): State<ApiState>,
    caller: Caller,
    CallbackPath(id): CallbackPath,
) -> Result<Response, Problem> {
    caller.must(Scope::Read)?;
    let body = find(&api, &caller, id).await?.body.ok_or(ProblemKind::BytesNotKept)?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, body).into_response())
}

/// Checks a stored callback with today's keys, and says which checks hold. Changes nothing.
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
    tracing::info!(callback.id = %id, key.id = %caller.key, disposition = disposition.names().0, "callback {id} was processed again");
    Ok(Json(find(&api, &caller, id).await?.view.into()))
}

impl Checks {
    fn all_hold(&self) -> bool {
        let all = [Some(self.bytes_kept), self.headers, self.signature, self.user_id, self.request_id];
        all.iter().all(|check| *check == Some(true))
    }
}

impl From<CallbackView> for CallbackJson {
    fn from(view: CallbackView) -> Self {
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
            body_sha256: view.body_sha256.map(hex::encode),
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
