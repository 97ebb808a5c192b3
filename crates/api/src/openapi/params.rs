//! Parameters that several operations take. The types are read by the description alone.

#![expect(dead_code, reason = "the fields describe what `Query` and `idempotency` read by hand")]

use utoipa::IntoParams;

/// Which page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{22,27}$")]
    cursor: Option<String>,
}

/// The caller's promise that equal keys mean one job.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Idempotency {
    /// A repeat with the same key and body is answered with what the first one made.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    key: Option<String>,
    /// `failed` frees a key whose job failed. Needs an `Idempotency-Key`.
    #[param(rename = "Idempotency-Reset", pattern = "^failed$")]
    reset: Option<String>,
}

/// The caller's promise that equal keys mean one thing made.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct OnceOnly {
    /// A repeat with the same key and body makes nothing more. Kept for 48 hours, for each key that calls.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    key: Option<String>,
}
