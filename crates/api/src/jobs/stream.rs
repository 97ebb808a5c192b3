//! `GET /v1/jobs/{id}/stream`: a job's states as server-sent events, as they come.
//!
//! A stream holds no connection to the database and no event: whoever reads slowly is told how the job stands once there is
//! room, and not of everything that it was meanwhile. The job's timeline tells that.

use super::view::JobJson;
use crate::{
    ApiState, Problem, ProblemKind, auth::Caller, openapi::bodies, path::JobPath, query::Query, streams::Place,
};
use axum::{
    extract::{RawQuery, State},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use domain::JobId;
use futures::{Stream, stream};
use http::{HeaderMap, HeaderName, StatusCode};
use std::{convert::Infallible, time::Duration};
use store::{
    jobs::{self, JobView, Watcher},
    keys::Scope,
};

/// What the caller read last, by the version of the job. Browsers send it when they connect again.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long a caller waits before it connects again.
const RETRY: Duration = Duration::from_secs(3);

/// After this long without an event a comment is sent, so that nobody between takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One open stream.
struct Following {
    api: ApiState,
    caller: Caller,
    id: JobId,
    watcher: Watcher,
    /// The version that the caller has seen.
    seen: i32,
    next: Next,
    _place: Place,
}

enum Next {
    /// To say when to connect again, which also sends the head.
    Greet(Box<JobView>),
    Tell(Box<JobView>),
    Wait,
    End,
}

/// Tells how a job stands, and then of each of its changes, until it has ended.
///
/// Server-sent events: each is named `job`, holds the job as JSON, and has the job's version as its id, which
/// `Last-Event-ID` takes up. Changes that come faster than they are read are told as one. Comments come every 15 s, and the
/// stream ends after the job has. Whoever has seen the end is answered 204, which tells a browser not to connect again.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/stream", operation_id = "stream_job", tag = "jobs", security(("key" = ["read"])),
    params(
        ("id" = Uuid, Path, description = "The job's id."),
        ("Last-Event-ID" = Option<u32>, Header, description = "The id of the last event that was read."),
    ),
    responses(
        (status = 200, description = "Events, until the job has ended.", body = bodies::StreamEvent, content_type = "text/event-stream"),
        (status = 204, description = "The job has ended, and the caller has seen it."),
    ),
    extensions(("x-problems" = json!(["job-not-found", "too-many-streams"]))),
)]
pub(crate) async fn stream(
    State(api): State<ApiState>,
    caller: Caller,
    JobPath(id): JobPath,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    caller.must(Scope::Read)?;
    Query::parse(raw.as_deref()).finish()?;
    let seen = last_seen(&headers)?;
    let place = api.streams.take(caller.key, &api.limits).ok_or(ProblemKind::TooManyStreams)?;
    // Watching begins before the first look, so that no change falls between.
    let watcher = api.watch.on(id);
    let job = jobs::get(&api.store, Some(caller.project), id).await?.ok_or(ProblemKind::JobNotFound)?;
    // What the job never was, the caller has not seen.
    let seen = if seen > job.version { 0 } else { seen };
    if job.is_terminal() && seen == job.version {
        // Tells a browser not to come again.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let following = Following { api, caller, id, watcher, seen, next: Next::Greet(Box::new(job)), _place: place };
    let events = Sse::new(following.events()).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    Ok(([("x-accel-buffering", "no")], events).into_response())
}

impl Following {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, async |mut following| {
            let event = following.event().await?;
            Some((Ok(event), following))
        })
    }

    /// Waits for the next event; nothing once the job has ended, the process stops, or the database is away: then the
    /// caller connects again.
    async fn event(&mut self) -> Option<Event> {
        loop {
            match std::mem::replace(&mut self.next, Next::Wait) {
                Next::Greet(job) => {
                    self.next = Next::Tell(job);
                    return Some(Event::default().retry(RETRY));
                }
                Next::Tell(job) if job.version > self.seen => {
                    self.seen = job.version;
                    if job.is_terminal() {
                        self.next = Next::End;
                    }
                    let event = Event::default().event("job").id(job.version.to_string());
                    return event.json_data(JobJson::of(*job, self.caller.payloads)).ok();
                }
                Next::Tell(_) | Next::Wait => self.next = Next::Tell(Box::new(self.changed().await?)),
                Next::End => return None,
            }
        }
    }

    async fn changed(&mut self) -> Option<JobView> {
        tokio::select! {
            () = self.watcher.beyond(self.seen) => {}
            () = self.api.stop.cancelled() => return None,
            () = self.caller.refused(&self.api) => return None,
        }
        self.caller.recheck(&self.api).await.ok()?;
        jobs::get(&self.api.store, Some(self.caller.project), self.id).await.ok().flatten()
    }
}

/// Reads `Last-Event-ID`: 0, which no job is at, where there is none.
fn last_seen(headers: &HeaderMap) -> Result<i32, Problem> {
    let mut values = headers.get_all(LAST_EVENT_ID).iter();
    let Some(value) = values.next() else { return Ok(0) };
    let version = value.to_str().ok().and_then(|text| text.parse().ok());
    match (version, values.next()) {
        (Some(version), None) if version >= 0 => Ok(version),
        _ => Err(Problem::field("Last-Event-ID", "must be the `id` of an event of this stream, and be there once")),
    }
}
