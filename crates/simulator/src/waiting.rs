//! Waiting for states, so that no test needs to sleep.

use std::time::Duration;

use crate::core::Core;
use crate::error::SimulatorError;
use crate::view::View;

/// Looks at no more than this many states a second: under load every request changes something.
const BREATH: Duration = Duration::from_millis(2);

impl Core {
    /// Waits until the check holds and returns the view for which it did.
    pub(crate) async fn wait(
        &self,
        limit: Duration,
        mut check: impl FnMut(&View) -> bool,
    ) -> Result<View, SimulatorError> {
        let mut changes = self.changes();
        let waiting = async {
            loop {
                changes.mark_unchanged();
                let view = self.world().view();
                if check(&view) {
                    return view;
                }
                // The sender lives as long as `self`, so an error cannot come.
                let _ = changes.changed().await;
                tokio::time::sleep(BREATH).await;
            }
        };
        tokio::time::timeout(limit, waiting).await.map_err(|_| SimulatorError::Waited(limit))
    }
}
