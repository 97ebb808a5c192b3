//! `GET /media/{request_id}/{n}.png`: the pictures of finished requests. They outlive the results, as on fal's CDN.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, header};

use super::answer;
use crate::core::Core;

/// Paints the nth picture of a request again.
pub(super) async fn picture(
    State(core): State<Arc<Core>>,
    Path((request_id, file)): Path<(String, String)>,
) -> Response {
    let number = file.strip_suffix(".png").and_then(|number| number.parse::<usize>().ok());
    let picture = number.and_then(|number| {
        let world = core.world();
        let index = world.index_of(&request_id).ok()?;
        world.requests[index].finished.as_ref()?.pictures.get(number).copied()
    });
    let Some(picture) = picture else {
        return answer::detail(404, "Not Found");
    };
    let mut response = answer::bytes_answer(200, Bytes::from(picture.png()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("image/png"));
    response
}
