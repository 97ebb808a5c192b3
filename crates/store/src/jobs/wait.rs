//! The wait for a job's end.

use super::{
    view::{JobView, get},
    watch::Watch,
};
use crate::{Store, error::Result};
use domain::{JobId, ProjectId};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Reads a job once it has ended, or as it stands after `timeout` or when `stop` says that the process ends. Nothing
/// where it is not there or is another project's.
///
/// No connection is held between two looks, and nothing is asked for a job that does not move.
pub async fn wait(
    store: &Store,
    watch: &Watch,
    project: ProjectId,
    id: JobId,
    timeout: Duration,
    stop: &CancellationToken,
) -> Result<Option<JobView>> {
    let deadline = Instant::now() + timeout;
    // Watching begins before the first look, so that no change falls between.
    let mut watcher = watch.on(id);
    loop {
        let Some(job) = get(store, Some(project), id).await? else { return Ok(None) };
        if job.is_terminal() || Instant::now() >= deadline || stop.is_cancelled() {
            return Ok(Some(job));
        }
        tokio::select! {
            () = watcher.beyond(job.version) => {}
            () = sleep_until(deadline) => {}
            () = stop.cancelled() => {}
        }
    }
}
