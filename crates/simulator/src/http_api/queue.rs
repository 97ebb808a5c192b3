//! Paths of the queue API: `/{endpoint}` to submit, `/{app}/requests/{id}…` for all the rest.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use http::{HeaderMap, Method, header};

use super::{Connection, answer, auth, result, status, stream, submit, sync};
use crate::account::Caller;
use crate::core::Core;
use crate::faults::Fault;

/// The most that an input may have.
const INPUT_MOST: usize = 64 * 1024 * 1024;

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    Submit { endpoint: &'a str },
    Run { endpoint: &'a str },
    Of { app: &'a str, request_id: &'a str, what: What },
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Status,
    Stream,
    Result,
    Cancel,
}

/// One look at a request that exists.
pub(super) struct Look {
    pub(super) core: Arc<Core>,
    pub(super) index: usize,
    /// `scheme://host` as the caller wrote it, so that the URLs in answers lead back the same way.
    pub(super) base: String,
    pub(super) logs: bool,
}

/// Sorts a request by method and path.
pub(super) async fn dispatch(
    State(core): State<Arc<Core>>,
    Extension(connection): Extension<Connection>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let base = base(&core, &connection, &parts.headers);
    let target = target(parts.uri.path());
    if target == Target::Nothing {
        return answer::detail(404, "Not Found");
    }
    let Some(caller) = auth::caller(&core, &parts.headers) else {
        return auth::refusal();
    };
    match (target, parts.method) {
        (Target::Submit { endpoint }, Method::POST) => {
            let Some(body) = read(body).await else {
                return answer::detail(413, "Request body is too large");
            };
            let ask = submit::Ask { caller, endpoint, base, query, headers: parts.headers, body };
            submit::submit(&core, &connection, ask).await
        }
        (Target::Run { endpoint }, Method::POST) => {
            let Some(body) = read(body).await else {
                return answer::detail(413, "Request body is too large");
            };
            sync::run(&core, caller, endpoint, &parts.headers, body).await
        }
        (Target::Of { app, request_id, what }, method) => {
            let logs = matches!(query.get("logs").map(String::as_str), Some("1" | "true"));
            of_request(core, &caller, (app, request_id, what), &method, base, logs)
        }
        _ => answer::detail(405, "Method Not Allowed"),
    }
}

fn of_request(
    core: Arc<Core>,
    caller: &Caller,
    (app, request_id, what): (&str, &str, What),
    method: &Method,
    base: String,
    logs: bool,
) -> Response {
    if *method != if what == What::Cancel { Method::PUT } else { Method::GET } {
        return answer::detail(405, "Method Not Allowed");
    }
    let Some(index) = find(&core, caller, app, request_id) else {
        return answer::about(unknown(), request_id);
    };
    let look = Look { core, index, base, logs };
    let response = match what {
        What::Cancel => status::cancel(&look),
        What::Status | What::Stream | What::Result => match disturbed(&look) {
            Some(disturbance) => disturbance,
            None if what == What::Status => status::status(&look),
            None if what == What::Stream => stream::stream(&look),
            None => result::result(&look),
        },
    };
    answer::about(response, request_id)
}

/// A request of this id under this app or endpoint id. Another account's is as if it were not there.
fn find(core: &Core, caller: &Caller, app: &str, request_id: &str) -> Option<usize> {
    let world = core.world();
    let index = world.index_of(request_id).ok()?;
    let request = &world.requests[index];
    let endpoint = &request.endpoint;
    if request.account != caller.account {
        return None;
    }
    (endpoint == app || crate::catalogue::app_of(endpoint) == app).then_some(index)
}

/// Counts a look, and answers it with a fault if there is one.
fn disturbed(look: &Look) -> Option<Response> {
    look.core.touch();
    let (now, mut world) = (look.core.now(), look.core.world());
    world.counts.looks += 1;
    let request = &mut world.requests[look.index];
    request.looks += 1;
    let plan = &request.plan;
    if plan.has(Fault::Status404Grace) && now.up < request.posted + plan.rates.status_404_grace_for {
        return Some(unknown());
    }
    let rate = plan.rates.rate(Fault::Status5xx);
    if !look.core.dice.hit(rate, request.ordinal, Fault::Status5xx.name(), request.looks) {
        return None;
    }
    Some(match request.looks % 3 {
        0 => answer::flat(500, "Internal server error", "internal_error"),
        1 => answer::flat(502, "The runner's answer broke off", "runner_incomplete_response"),
        _ => answer::flat(503, "No runner could be scheduled", "runner_scheduling_failure"),
    })
}

fn unknown() -> Response {
    answer::json_answer(404, &serde_json::json!({ "status": "NOT_FOUND" }))
}

fn target(path: &str) -> Target<'_> {
    let path = path.trim_matches('/');
    let Some((app, rest)) = path.split_once("/requests/") else {
        return match path.strip_prefix("run/") {
            Some(endpoint) => Target::Run { endpoint },
            None if path.is_empty() => Target::Nothing,
            None => Target::Submit { endpoint: path },
        };
    };
    let (request_id, tail) = rest.split_once('/').unwrap_or((rest, ""));
    let what = match tail {
        "" | "response" => What::Result,
        "status" => What::Status,
        "status/stream" => What::Stream,
        "cancel" => What::Cancel,
        _ => return Target::Nothing,
    };
    Target::Of { app, request_id, what }
}

fn base(core: &Core, connection: &Connection, headers: &HeaderMap) -> String {
    match headers.get(header::HOST).and_then(|host| host.to_str().ok()) {
        Some(host) => format!("{}://{host}", connection.scheme),
        None => core.url.clone(),
    }
}

async fn read(body: Body) -> Option<bytes::Bytes> {
    axum::body::to_bytes(body, INPUT_MOST).await.ok()
}

#[cfg(test)]
mod tests {
    use super::{Target, What, target};

    #[test]
    fn paths_are_sorted_with_and_without_their_last_slash() {
        assert_eq!(target("/fal-ai/flux/dev"), Target::Submit { endpoint: "fal-ai/flux/dev" });
        assert_eq!(target("/run/fal-ai/flux/dev"), Target::Run { endpoint: "fal-ai/flux/dev" });
        let of = |what| Target::Of { app: "fal-ai/flux", request_id: "7", what };
        for (path, what) in [
            ("/fal-ai/flux/requests/7", What::Result),
            ("/fal-ai/flux/requests/7/", What::Result),
            ("/fal-ai/flux/requests/7/response", What::Result),
            ("/fal-ai/flux/requests/7/status", What::Status),
            ("/fal-ai/flux/requests/7/status/", What::Status),
            ("/fal-ai/flux/requests/7/status/stream", What::Stream),
            ("/fal-ai/flux/requests/7/cancel", What::Cancel),
        ] {
            assert_eq!(target(path), of(what), "{path}");
        }
        assert_eq!(target("/fal-ai/flux/requests/7/nothing"), Target::Nothing);
        assert_eq!(target("/"), Target::Nothing);
    }
}
