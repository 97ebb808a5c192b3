//! The simulator's time: one place that reads the machine's clocks, and the scale that makes simulated hours short.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// A wall clock that never jumps (it is read once and then counted on), and the scale of simulated time.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    wall: DateTime<Utc>,
    scale: f64,
}

impl Clock {
    /// Starts counting. `scale` is how many simulated seconds pass in a real one, and must be positive.
    #[expect(clippy::disallowed_methods, reason = "this is the simulator's clock; it has no database to ask")]
    pub(crate) fn start(scale: f64) -> Self {
        Self { started: Instant::now(), wall: Utc::now(), scale }
    }

    /// The wall time, to be shown and signed.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let elapsed = chrono::Duration::from_std(self.uptime()).unwrap_or(chrono::Duration::MAX);
        self.wall.checked_add_signed(elapsed).unwrap_or(self.wall)
    }

    /// The time since the start, monotonic.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// How long a simulated span takes in real time.
    pub(crate) fn scaled(&self, span: Duration) -> Duration {
        Duration::try_from_secs_f64(span.as_secs_f64() / self.scale).unwrap_or(Duration::MAX)
    }

    /// Sleeps for a simulated span.
    pub(crate) async fn sleep(&self, span: Duration) {
        tokio::time::sleep(self.scaled(span)).await;
    }
}
