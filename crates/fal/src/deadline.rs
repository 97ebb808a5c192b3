//! A deadline on the monotonic clock that also holds for a process that was stopped and woke again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::time::Instant;

/// Runs `future` until `deadline`; `None` when the deadline came first.
///
/// `tokio::time::timeout` polls its future before its timer, so a process that was paused past the deadline would
/// still write to a connection that opened meanwhile. Here the clock is read before every poll.
pub(crate) async fn within<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = pin!(tokio::time::sleep_until(deadline));
    poll_fn(|cx| {
        if Instant::now() >= deadline {
            return Poll::Ready(None);
        }
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_future_that_is_late_is_dropped_at_the_deadline() {
        let start = Instant::now();
        let outcome = within(start + Duration::from_secs(5), std::future::pending::<()>()).await;
        assert_eq!(outcome, None);
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_whose_deadline_has_passed_is_never_polled() {
        let deadline = Instant::now();
        let mut polled = false;
        let outcome = within(deadline, async { polled = true }).await;
        assert_eq!(outcome, None);
        assert!(!polled);
    }
}
