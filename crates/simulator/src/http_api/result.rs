//! `GET …/requests/{id}`: the model's own answer, replayed for as long as it is kept.

use axum::response::Response;
use http::HeaderName;

use super::answer;
use super::queue::Look;
use crate::request::{Finished, OutcomeKind};

/// Replays the result, or says why there is none.
pub(super) fn result(look: &Look) -> Response {
    let world = look.core.world();
    let request = &world.requests[look.index];
    match &request.finished {
        None => answer::detail(400, "Request is still in progress"),
        Some(_) if request.is_gone(look.core.clock.uptime()) => answer::detail(404, "Request not found"),
        Some(finished) => replay(finished),
    }
}

/// The model's answer with its status code and headers.
pub(super) fn replay(finished: &Finished) -> Response {
    let mut response = answer::bytes_answer(finished.status, finished.body.clone());
    if let Some(units) = &finished.units_header {
        response = answer::with_header(response, HeaderName::from_static("x-fal-billable-units"), units);
    }
    if let Some(error_type) = &finished.error_type {
        response = answer::with_header(response, HeaderName::from_static("x-fal-error-type"), error_type);
    }
    if finished.kind == OutcomeKind::StartTimeout {
        response = answer::with_header(response, HeaderName::from_static("x-fal-request-timeout-type"), "user");
    }
    response
}
