//! The wait for the next events.

use super::{
    page::{Feed, Page, is_held_back, read},
    position::Position,
};
use crate::{Store, error::Result, wake::Wakes};
use std::{pin::pin, time::Duration};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How long an event may go unseen whose wake was lost.
const POLL_FLOOR: Duration = Duration::from_secs(1);

/// The least time between two looks of one caller, so that many callers and many ends do not multiply.
const POLL_CEILING: Duration = Duration::from_millis(50);

/// Reads the events after a position once there are some; an empty page after `timeout`, or when `stop` says that the
/// process ends.
///
/// No connection is held between two looks.
pub async fn wait(
    store: &Store,
    wakes: &Wakes,
    feed: &Feed,
    after: Position,
    timeout: Duration,
    stop: &CancellationToken,
) -> Result<Page> {
    let deadline = Instant::now() + timeout;
    let (mut reached, mut pause) = (after, POLL_CEILING);
    loop {
        // Listening begins before the look, so that an end between the look and the wait is heard.
        let mut ended = pin!(wakes.ended.notified());
        ended.as_mut().enable();
        let looked_at = Instant::now();
        let page = read(store, feed, reached).await?;
        if !page.events.is_empty() || Instant::now() >= deadline || stop.is_cancelled() {
            return Ok(page);
        }
        reached = page.reached;
        if !page.at_end {
            continue;
        }
        // Nobody says when the transaction ends that holds an event back, which may concern no job at all.
        let held = is_held_back(store, feed.project).await?;
        let next = if held { pause } else { POLL_FLOOR };
        pause = if held { (pause * 2).min(POLL_FLOOR) } else { POLL_CEILING };
        tokio::select! {
            () = ended => sleep_until((looked_at + POLL_CEILING).min(deadline)).await,
            () = sleep_until((looked_at + next).min(deadline)) => {}
            () = stop.cancelled() => {}
        }
    }
}
