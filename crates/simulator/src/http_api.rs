//! The HTTP surface: queue API at the root, platform API, key set, pictures and controls beside it.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post, put};
use http::HeaderName;
use tokio_util::sync::CancellationToken;

use crate::core::Core;

mod admin;
mod answer;
mod auth;
mod listing;
mod media;
mod platform;
mod queue;
mod result;
mod status;
mod stream;
mod submit;
mod sync;

/// The connection on which a request came.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// `https` or `http`.
    pub(crate) scheme: &'static str,
    /// Cancelled to cut the connection with a reset.
    pub(crate) reset: CancellationToken,
}

/// Everything that the simulator serves.
pub(crate) fn router(core: Arc<Core>) -> Router {
    let sim = Router::new()
        .route("/state", get(admin::state))
        .route("/requests", get(admin::requests))
        .route("/truth", get(admin::truth))
        .route("/faults", get(admin::faults).put(admin::set_faults))
        .route("/rotate", post(admin::rotate))
        .route("/jwks", post(admin::jwks))
        .route("/slots", put(admin::set_slots))
        .route("/release", post(admin::release))
        .route("/forget/{request_id}", post(admin::forget))
        .route("/script/next", post(admin::script_next))
        .route("/script/prompt", post(admin::script_prompt));
    let v1 = Router::new()
        .route("/meta", get(platform::meta))
        .route("/models/pricing", get(platform::pricing))
        .route("/models/requests/by-endpoint", get(listing::requests))
        .route("/models/billing-events", get(listing::billing_events))
        .fallback(platform::unknown);
    Router::new()
        .nest("/_sim", sim)
        .nest("/v1", v1)
        .route("/.well-known/jwks.json", get(platform::jwks))
        .route("/media/{request_id}/{file}", get(media::picture))
        .fallback(queue::dispatch)
        .layer(middleware::from_fn(name_request))
        .with_state(core)
}

/// Marks an answer that did not come from fal itself, and so lacks its headers.
#[derive(Debug, Clone, Copy)]
struct FromIngress;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-fal-request-id");

/// Puts `x-fal-request-id` on every answer, since clients tell fal's own errors by it.
async fn name_request(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.extensions().get::<FromIngress>().is_none() && !response.headers().contains_key(REQUEST_ID) {
        let id = uuid::Uuid::new_v4().to_string();
        response.headers_mut().insert(REQUEST_ID, id.parse().expect("a UUID is a header value"));
    }
    response
}
