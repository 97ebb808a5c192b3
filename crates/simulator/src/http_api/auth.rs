//! `Authorization: Key id:secret`.

use axum::response::Response;
use http::{HeaderMap, header};

use super::answer;
use crate::account::{self, Caller};
use crate::core::Core;

/// Whose key the headers carry; nothing where nobody's.
pub(super) fn caller(core: &Core, headers: &HeaderMap) -> Option<Caller> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    account::of_key(&core.world().accounts, value.strip_prefix("Key ")?)
}

/// The queue API's answer to a bad key.
pub(super) fn refusal() -> Response {
    answer::detail(401, "invalid key credentials")
}
