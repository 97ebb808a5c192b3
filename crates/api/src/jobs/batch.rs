//! `POST /v1/jobs/batch`: a JSON array or one object per line, answered by one line for each while they are accepted.

use super::view::JobJson;
use crate::{ApiState, Problem, ProblemKind, auth::Caller, body, idempotency};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::JobId;
use futures::{StreamExt, future::join_all, stream};
use http::{HeaderMap, header};
use serde_json::{json, value::RawValue};
use std::{collections::HashMap, convert::Infallible};
use store::{
    accept::{Accepted, Answer, Idempotency},
    jobs::{self, JobView},
    keys::Scope,
};
use submitter::JobRequest;

const ROUTE: &str = "POST /v1/jobs/batch";

/// Jobs that are handed to the store, and answered, together.
const TOGETHER: usize = 500;

/// One item of a batch: where it stands, and its bytes.
type Item = (usize, Bytes);

/// Accepts many jobs, each for itself: one that is refused keeps no other from being made.
pub(crate) async fn submit(
    State(api): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.must(Scope::Submit)?;
    let body = body::read(body, api.limits.batch_bytes_max, api.limits.body_timeout).await?;
    let key = idempotency::read(&headers, ROUTE, &body)?;
    let items = split(&body)?;
    if items.len() > api.limits.batch_jobs_max {
        let rule = format!("must not hold more than {} jobs", api.limits.batch_jobs_max);
        return Err(Problem::field("body", rule));
    }
    let parts: Vec<Vec<Item>> = items.chunks(TOGETHER).map(<[Item]>::to_vec).collect();
    let lines = stream::iter(parts).then(move |part| {
        let (api, caller, key) = (api.clone(), caller.clone(), key.clone());
        async move { Ok::<Bytes, Infallible>(lines_of(&api, &caller, key.as_ref(), &part).await) }
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// Cuts a body into its items: a JSON array, or a value on each line that is not blank.
pub(super) fn split(body: &Bytes) -> Result<Vec<Item>, Problem> {
    let slices: Vec<Bytes> = if body.trim_ascii_start().starts_with(b"[") {
        let items: Vec<&RawValue> = serde_json::from_slice(body)
            .map_err(|error| Problem::field("body", format!("must be a JSON array: {error}")))?;
        items.into_iter().map(|item| body.slice_ref(item.get().as_bytes())).collect()
    } else {
        let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        lines.filter(|line| !line.is_empty()).map(|line| body.slice_ref(line)).collect()
    };
    Ok(slices.into_iter().enumerate().collect())
}

async fn lines_of(api: &ApiState, caller: &Caller, key: Option<&Idempotency>, part: &[Item]) -> Bytes {
    let accepted = join_all(part.iter().map(|(index, item)| accept(api, caller, key, *index, item))).await;
    let unseen_ids: Vec<JobId> =
        accepted.iter().flatten().filter(|made| made.view.is_none()).map(|made| made.accepted.job()).collect();
    let seen = if unseen_ids.is_empty() {
        Ok(Vec::new())
    } else {
        jobs::views(&api.store, Some(caller.project), &unseen_ids).await
    };
    let (views, unseen): (HashMap<JobId, JobView>, Option<Problem>) = match seen {
        Ok(views) => (views.into_iter().map(|view| (view.id, view)).collect(), None),
        Err(error) => (HashMap::new(), Some(error.into())),
    };
    let mut lines = Vec::with_capacity(part.len() * 512);
    for ((index, _), accepted) in part.iter().zip(accepted) {
        let line = match accepted.map(|made| {
            let view = made.view.or_else(|| views.get(&made.accepted.job()).cloned());
            (made.accepted, view)
        }) {
            Err(problem) => json!({"index": index, "problem": problem.to_json()}),
            Ok((Accepted::KeyReused(_), _)) => {
                json!({"index": index, "problem": Problem::from(ProblemKind::IdempotencyKeyReused).to_json()})
            }
            Ok((_, Some(view))) => json!({"index": index, "job": JobJson::from(view)}),
            // The job was accepted, and only the look at it failed: its id is what the caller must not lose.
            Ok((accepted, None)) => {
                let problem = unseen.clone().unwrap_or(ProblemKind::JobNotFound.into());
                json!({"index": index, "problem": problem.with("job_id", json!(accepted.job())).to_json()})
            }
        };
        lines.extend_from_slice(line.to_string().as_bytes());
        lines.push(b'\n');
    }
    lines.into()
}

async fn accept(
    api: &ApiState,
    caller: &Caller,
    key: Option<&Idempotency>,
    index: usize,
    item: &Bytes,
) -> Result<Answer, Problem> {
    if item.len() > api.limits.body_bytes_max {
        return Err(ProblemKind::BodyTooLarge.into());
    }
    let request = JobRequest::parse(item)?;
    let key = key.map(|key| idempotency::of_item(key, index, ROUTE, item)).transpose()?;
    Ok(api.intake.accept(caller.project, request, key).await?)
}
