//! How far the feed and its readers are behind, as metrics.

use super::{stopped_within, warn};
use std::time::Duration;
use store::{Store, log_limit::LogLimit};
use tokio_util::sync::CancellationToken;

/// Between two measurements.
const EVERY: Duration = Duration::from_secs(10);

/// Measures until `stop`.
pub(super) async fn measure(store: Store, stop: CancellationToken) {
    let outages = LogLimit::default();
    loop {
        match store::events::health(&store).await {
            Ok(health) => {
                metrics::gauge!("falconer_events_held_seconds").set(health.held_seconds);
                metrics::gauge!("falconer_consumers_behind_seconds").set(health.behind_seconds);
            }
            Err(error) => warn(&outages, &error, "the feed cannot be measured"),
        }
        if stopped_within(EVERY, &stop).await {
            return;
        }
    }
}
