//! The description of the API, `OpenAPI` 3.1, made from the code that serves it.
//!
//! # How to add a route
//! 1. Put `#[utoipa::path(…)]` on the handler, the model is `jobs/read.rs`: method, `path`, a unique `operation_id`
//!    (`verb_noun`), one `tag` of `Frame`, `params(…)`, `request_body(…)`, the good `responses(…)`, the scope as
//!    `security(("key" = ["read"]))`, and the problems of its own as
//!    `extensions(("x-problems" = json!(["job-not-found"])))`. The first paragraph of the doc comment is the summary.
//! 2. Name it in `crate::routes::described` as `.routes(routes!(module::handler))`. Handlers of one path and several
//!    methods go into one `routes!(a, b)`.
//! 3. Types of answers derive `ToSchema` with `#[schema(as = Name)]`. A body that is read by hand gets a type in
//!    `bodies` that is never built, and an example there that a test hands to the handler.
//! 4. Common problems (key, scope, size, outage, …) are added to each operation by `complete`: do not list them.
//!
//! Tests hold that routes and descriptions are the same, and that every problem that is named exists.

pub(crate) mod bodies;
mod complete;
pub(crate) mod docs;
pub(crate) mod params;

#[cfg(test)]
pub(crate) use complete::is_method;

use crate::routes;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use serde_json::Value;
use std::sync::LazyLock;
use utoipa::OpenApi;

/// What the description says of the whole: each tag is one chapter of the reference.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Falconer",
        description = "Fires fal.ai generation jobs and brings every result home.\n\n\
            Every call carries `Authorization: Bearer flc_…`. What belongs to another project is answered as if it were \
            not there. Errors are `application/problem+json`; the `type` of each is the address of its page.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
        contact(),
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "jobs", description = "One unit of work: submit it, follow it, read its result."),
        (name = "events", description = "What happened, in order, for consumers that pull."),
        (name = "callbacks", description = "What fal sent, and what became of it."),
        (name = "adopt", description = "Jobs that somebody else sent to fal."),
        (name = "orphan charges", description = "What fal billed and no attempt explains."),
        (name = "projects", description = "Who submits and who is billed."),
        (name = "keys", description = "Who may call, and for what."),
        (name = "credentials", description = "The accounts at fal."),
        (name = "audit", description = "What operators did."),
        (name = "reference", description = "This page, its source, and the pages of problems. No key is needed."),
    )
)]
pub(crate) struct Frame;

/// The description as it is served.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| serde_json::to_vec(&document()).unwrap_or_default().into());

/// The whole description.
pub fn document() -> Value {
    complete::complete(&routes::described().into_openapi())
}

/// Gives this description of the API, `OpenAPI` 3.1.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "get_openapi", tag = "reference",
    responses((status = 200, description = "The description.", content_type = "application/json", body = serde_json::Value)),
)]
pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}
