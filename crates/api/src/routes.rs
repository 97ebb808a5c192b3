//! All routes, and what holds for each of them.

use crate::{
    ApiState, Problem, ProblemKind, adopt, audit, callbacks, credentials, events, jobs, keys,
    openapi::{self, Frame},
    orphans, projects,
};
use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Path, Request},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use receiver::Limits;
use std::{any::Any, time::Instant};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The API.
pub fn router(state: ApiState) -> Router {
    let (described, _) = described().split_for_parts();
    described
        .fallback(|| async { Problem::from(ProblemKind::RouteNotFound) })
        .method_not_allowed_fallback(|| async { Problem::from(ProblemKind::MethodNotAllowed) })
        .with_state(state)
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(middleware::from_fn(note))
}

/// Every route, each with its description: there is no other way to add one.
pub(crate) fn described() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(Frame::openapi())
        .routes(routes!(jobs::list::list, jobs::submit::submit))
        .routes(routes!(jobs::batch::submit))
        .routes(routes!(jobs::read::get))
        .routes(routes!(jobs::read::result))
        .routes(routes!(jobs::read::timeline))
        .routes(routes!(jobs::read::wait))
        .routes(routes!(jobs::stream::stream))
        .routes(routes!(jobs::wishes::cancel))
        .routes(routes!(jobs::resolve::resolve))
        .routes(routes!(jobs::replay::refetch))
        .routes(routes!(jobs::replay::regenerate))
        .routes(routes!(adopt::urls::create))
        .routes(routes!(adopt::requests::take))
        .routes(routes!(callbacks::list))
        .routes(routes!(callbacks::get))
        .routes(routes!(callbacks::raw))
        .routes(routes!(callbacks::verify))
        .routes(routes!(callbacks::reprocess))
        .routes(routes!(events::feed::read))
        .routes(routes!(events::feed::acknowledge))
        .routes(routes!(events::feed::get))
        .routes(routes!(events::consumers::list, events::consumers::create))
        .routes(routes!(events::consumers::delete))
        .routes(routes!(orphans::list))
        .routes(routes!(orphans::dismiss))
        .routes(routes!(keys::list, keys::changes::create))
        .routes(routes!(keys::get))
        .routes(routes!(keys::changes::rotate))
        .routes(routes!(keys::changes::revoke))
        .routes(routes!(projects::list, projects::create))
        .routes(routes!(projects::get, projects::rename))
        .routes(routes!(audit::list))
        .routes(routes!(credentials::list, credentials::changes::create))
        .routes(routes!(credentials::get, credentials::changes::change))
        .routes(routes!(credentials::changes::rotate))
        .routes(routes!(credentials::changes::repin))
        .routes(routes!(credentials::changes::disable))
        .routes(routes!(credentials::changes::enable))
        .routes(routes!(credentials::changes::assign))
        .routes(routes!(openapi::openapi))
        .routes(routes!(openapi::docs::page))
        .routes(routes!(openapi::docs::asset))
        .routes(routes!(error_page))
}

/// Serves the API until `shutdown`, then lets the requests that have begun finish. Long polls, streams and
/// uploads end at once: a poll with the job as it stands, an upload with a line that says where it was left.
pub async fn serve(listener: TcpListener, state: ApiState, shutdown: CancellationToken) {
    let state = ApiState { stop: shutdown.clone(), ..state };
    let limits = Limits { answers_while_reading: true, ..Limits::default() };
    receiver::serve(listener, router(state), limits, shutdown).await;
}

/// Gives the page of one kind of problem.
#[utoipa::path(
    get, path = "/errors/{slug}", operation_id = "get_problem_page", tag = "reference",
    params(("slug" = String, Path, description = "The last part of the problem's `type`.", example = "job-open")),
    responses((status = 200, description = "The page.", body = String, content_type = "text/markdown; charset=utf-8")),
    extensions(("x-problems" = json!(["route-not-found"]))),
)]
async fn error_page(Path(slug): Path<String>) -> Result<Response, Problem> {
    let kind = ProblemKind::ALL.iter().find(|kind| kind.slug() == slug).ok_or(ProblemKind::RouteNotFound)?;
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], kind.page()).into_response())
}

/// Writes one line for each request, and lets nobody store an answer that only its caller may see.
async fn note(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let (took, status) = (started.elapsed(), response.status().as_u16());
    metrics::histogram!("falconer_api_seconds", "route" => route.clone(), "status" => status.to_string())
        .record(took.as_secs_f64());
    tracing::info!(%method, route, status, took_s = took.as_secs_f64(), "{method} {route} was answered");
    response
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is that of the layer")]
fn on_panic(panic: Box<dyn Any + Send>) -> Response<Body> {
    let message = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(message, "a handler panicked");
    Problem::from(ProblemKind::Internal).into_response()
}
