//! `POST /v1/jobs/batch`: a JSON array that is read whole, or a stream of lines. Both are answered by a line for each job,
//! in order, while the jobs are accepted.

mod answers;
mod lines;
pub(crate) mod media;
mod upload;

use crate::{
    ApiState, Problem,
    auth::Caller,
    body, idempotency,
    openapi::{bodies, params},
};
use answers::{accept, lines_of};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, header};
use lines::Lines;
use media::{Media, media};
use serde_json::value::RawValue;
use std::{convert::Infallible, sync::Arc};
use store::{accept::Idempotency, keys::Scope};
use upload::Upload;

const ROUTE: &str = "POST /v1/jobs/batch";

const READS: &str = "A batch is application/json, an array, or application/x-ndjson, an object on each line.";

/// Jobs that are handed to the store, and answered, together.
const TOGETHER: usize = 500;

/// One job of a batch: its bytes, or why they are none.
type Item = Result<Bytes, Problem>;

/// Accepts many jobs, each for itself: one that is refused keeps no other from being made.
///
/// Lines are accepted and answered while more of them arrive, however many there are, and blank ones do not count. With an
/// `Idempotency-Key`, job number N has the key `KEY/N`, so an upload that broke off is repeated whole and makes nothing
/// twice. A line that is too long, or that did not arrive whole, is answered by a problem; all before it stand. Answers that
/// were not taken are held for more than a million lines, so a caller may send everything before it reads.
#[utoipa::path(
    post, path = "/v1/jobs/batch", operation_id = "submit_batch", tag = "jobs", security(("key" = ["submit"])),
    params(params::Idempotency),
    request_body(
        description = "A JSON array of jobs, or one job a line.",
        content((Vec<bodies::JobRequest> = "application/json"), (String = "application/x-ndjson")),
    ),
    responses((status = 200, description = "A line for each job, in order: `{index, job}` or `{index, problem}`.", body = String, content_type = "application/x-ndjson")),
    extensions(("x-problems" = json!(["unsupported-media-type"]))),
)]
pub(crate) async fn submit(
    State(api): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.must(Scope::Submit)?;
    let media = media(&headers, READS)?;
    // The fingerprint of the whole is never compared: each item has one of its own.
    let key = idempotency::read(&headers, ROUTE, &[])?.map(Arc::new);
    let lines = match media {
        Media::Lines => {
            let lines = Lines::new(body, api.limits.body_bytes_max, api.limits.body_timeout, api.stop.clone());
            Body::from_stream(Upload::start(api, caller, key, lines)?)
        }
        Media::Json => {
            let body = body::read(body, api.limits.batch_bytes_max, api.limits.body_timeout).await?;
            array(api, caller, key, &body)?
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

/// Answers the jobs of an array, part after part.
fn array(api: ApiState, caller: Caller, key: Option<Arc<Idempotency>>, body: &Bytes) -> Result<Body, Problem> {
    let items = split(body)?;
    if items.len() > api.limits.batch_jobs_max {
        let rule = format!("must not hold more than {} jobs; lines have no such limit", api.limits.batch_jobs_max);
        return Err(Problem::field("body", rule));
    }
    let parts: Vec<(usize, Vec<Item>)> = items
        .chunks(TOGETHER)
        .enumerate()
        .map(|(number, part)| (number * TOGETHER, part.iter().cloned().map(Ok).collect()))
        .collect();
    let lines = stream::iter(parts).then(move |(first, part)| {
        let (api, caller, key) = (api.clone(), caller.clone(), key.clone());
        async move {
            let answers = accept(&api, &caller, key.as_deref(), first, part).await;
            Ok::<Bytes, Infallible>(lines_of(&api, &caller, first, answers).await)
        }
    });
    Ok(Body::from_stream(lines))
}

/// Cuts an array into its items.
pub(super) fn split(body: &Bytes) -> Result<Vec<Bytes>, Problem> {
    if !body.trim_ascii_start().starts_with(b"[") {
        let rule = "must be a JSON array; lines are sent with the content type application/x-ndjson";
        return Err(Problem::field("body", rule));
    }
    let items: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|error| Problem::field("body", format!("must be a JSON array: {error}")))?;
    Ok(items.into_iter().map(|item| body.slice_ref(item.get().as_bytes())).collect())
}
