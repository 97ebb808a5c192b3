//! All routes, and what holds for each of them.

use crate::{ApiState, Problem, ProblemKind, callbacks, jobs, orphans};
use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Path, Request},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderValue, header};
use receiver::Limits;
use std::{any::Any, time::Instant};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

/// The API.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .route("/v1/jobs", get(jobs::list::list).post(jobs::submit::submit))
        .route("/v1/jobs/batch", post(jobs::batch::submit))
        .route("/v1/jobs/{id}", get(jobs::read::get))
        .route("/v1/jobs/{id}/result", get(jobs::read::result))
        .route("/v1/jobs/{id}/timeline", get(jobs::read::timeline))
        .route("/v1/jobs/{id}/wait", get(jobs::read::wait))
        .route("/v1/jobs/{id}/cancel", post(jobs::wishes::cancel))
        .route("/v1/jobs/{id}/resolve", post(jobs::resolve::resolve))
        .route("/v1/jobs/{id}/refetch", post(jobs::replay::refetch))
        .route("/v1/jobs/{id}/regenerate", post(jobs::replay::regenerate))
        .route("/v1/callbacks", get(callbacks::list))
        .route("/v1/callbacks/{id}", get(callbacks::get))
        .route("/v1/callbacks/{id}/raw", get(callbacks::raw))
        .route("/v1/callbacks/{id}/verify", post(callbacks::verify))
        .route("/v1/callbacks/{id}/reprocess", post(callbacks::reprocess))
        .route("/v1/orphan-charges", get(orphans::list))
        .route("/v1/orphan-charges/{request_id}/dismiss", post(orphans::dismiss))
        .route("/errors/{slug}", get(error_page))
        .fallback(|| async { Problem::from(ProblemKind::RouteNotFound) })
        .method_not_allowed_fallback(|| async { Problem::from(ProblemKind::MethodNotAllowed) })
        .with_state(state)
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(middleware::from_fn(note))
}

/// Serves the API until `shutdown`, then lets the requests that have begun finish. Long polls end at once, with the job as
/// it stands.
pub async fn serve(listener: TcpListener, state: ApiState, shutdown: CancellationToken) {
    let state = ApiState { stop: shutdown.clone(), ..state };
    receiver::serve(listener, router(state), Limits::default(), shutdown).await;
}

/// The page of one kind of problem.
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
