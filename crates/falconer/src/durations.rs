//! How the process waits and how it names its ends.

use std::time::Duration;

/// A lost wake costs at most this much latency.
pub(crate) const POLL_FLOOR: Duration = Duration::from_secs(1);

/// The wall clock, for what leaves the database: the age of a persisted key set.
#[expect(clippy::disallowed_methods, reason = "the age of fal's keys is measured where no database may be at hand")]
pub(crate) fn unix_now() -> i64 {
    chrono::Utc::now().timestamp().saturating_add(failpoints::clock_skew())
}
