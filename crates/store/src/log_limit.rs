//! One line per second and loop while something is away, and a count of those that were not written.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const INTERVAL: Duration = Duration::from_secs(1);

/// Lets one log line pass per second. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct LogLimit {
    state: Arc<Mutex<(Option<Instant>, u64)>>,
}

impl LogLimit {
    /// Says whether a line may be written, and how many were not since the last.
    pub fn pass(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0.is_some_and(|last| last.elapsed() < INTERVAL) {
            state.1 += 1;
            return None;
        }
        state.0 = Some(Instant::now());
        Some(std::mem::take(&mut state.1))
    }
}
