//! The wait for a job's end.

use super::view::{JobView, get};
use crate::{Store, error::Result, wake::Wakes};
use domain::{JobId, ProjectId};
use std::{pin::pin, time::Duration};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How long a job that another process ended may go unseen.
const POLL_FLOOR: Duration = Duration::from_secs(1);

/// The least time between two looks of one caller, so that many callers and many ends do not multiply.
const POLL_CEILING: Duration = Duration::from_millis(50);

/// Reads a job once it has ended, or as it stands after `timeout` or when `stop` says that the process ends. Nothing
/// where it is not there or is another project's.
///
/// No connection is held between two looks.
pub async fn wait(
    store: &Store,
    wakes: &Wakes,
    project: Option<ProjectId>,
    id: JobId,
    timeout: Duration,
    stop: &CancellationToken,
) -> Result<Option<JobView>> {
    let deadline = Instant::now() + timeout;
    loop {
        // Listening begins before the look, so that an end between the look and the wait is heard.
        let mut ended = pin!(wakes.ended.notified());
        ended.as_mut().enable();
        let looked_at = Instant::now();
        let job = get(store, project, id).await?;
        let is_over = job.as_ref().is_none_or(JobView::is_terminal);
        if is_over || Instant::now() >= deadline || stop.is_cancelled() {
            return Ok(job);
        }
        tokio::select! {
            () = ended => sleep_until((looked_at + POLL_CEILING).min(deadline)).await,
            () = sleep_until((looked_at + POLL_FLOOR).min(deadline)) => {}
            () = stop.cancelled() => {}
        }
    }
}
