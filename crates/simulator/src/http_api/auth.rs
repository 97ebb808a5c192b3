//! `Authorization: Key id:secret`.

use axum::response::Response;
use http::{HeaderMap, header};

use super::answer;
use crate::core::Core;

/// Whether the headers carry a key that the settings accept.
pub(super) fn is_authorised(core: &Core, headers: &HeaderMap) -> bool {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(key) = value.strip_prefix("Key ") else {
        return false;
    };
    let well_formed = key.split_once(':').is_some_and(|(id, secret)| !id.is_empty() && !secret.is_empty());
    if core.config.keys.is_empty() { well_formed } else { core.config.keys.iter().any(|known| known == key) }
}

/// The queue API's answer to a bad key.
pub(super) fn refusal() -> Response {
    answer::detail(401, "invalid key credentials")
}
