//! The reference page: Swagger UI over `/openapi.json`, every file of it held in the binary, so that it works where there
//! is no other network than the one to this server.

use crate::{Problem, ProblemKind};
use axum::{
    extract::Path,
    response::{IntoResponse, Response},
};
use http::header;
use std::sync::Arc;
use utoipa_swagger_ui::{Config, serve};

/// Lets the page load from this server and talk to it, and to nobody else. Swagger UI writes styles into its elements, and
/// its icons are `data:` URLs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = include_str!("docs/page.html");
const START: &str = include_str!("docs/start.js");

/// Shows this description as a page.
#[utoipa::path(
    get, path = "/docs", operation_id = "get_reference_page", tag = "reference",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html; charset=utf-8")),
)]
pub(crate) async fn page() -> Response {
    guarded("text/html; charset=utf-8", PAGE)
}

/// Gives a file that the reference page needs.
#[utoipa::path(
    get, path = "/docs/{file}", operation_id = "get_reference_file", tag = "reference",
    params(("file" = String, Path, description = "The name of the file.", example = "swagger-ui.css")),
    responses((status = 200, description = "The file.", body = String, content_type = "text/css")),
    extensions(("x-problems" = json!(["route-not-found"]))),
)]
pub(crate) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    if name == "start.js" {
        return Ok(guarded("text/javascript; charset=utf-8", START));
    }
    let kind = match name.as_str() {
        "swagger-ui.css" => "text/css; charset=utf-8",
        "swagger-ui-bundle.js" => "text/javascript; charset=utf-8",
        "favicon-32x32.png" => "image/png",
        _ => return Err(ProblemKind::RouteNotFound.into()),
    };
    let file = serve(&name, Arc::new(Config::default())).ok().flatten().ok_or(ProblemKind::Internal)?;
    Ok(guarded(kind, file.bytes.into_owned()))
}

fn guarded(kind: &'static str, body: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, body).into_response()
}
