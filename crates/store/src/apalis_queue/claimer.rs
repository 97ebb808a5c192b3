//! The claim loop of one worker.
//!
//! It is a task of its own, because apalis polls a backend neither while the worker is full nor while a stop waits for
//! the last handler: inside the worker a claim in flight would stall with its rows leased, and what was fetched and not
//! started could be handed back only after the slowest handler.

use super::{LeasedQueue, handoff::Handoff};
use apalis_core::worker::context::WorkerContext;
use futures::FutureExt as _;
use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

pub(super) struct Claimer<Q: LeasedQueue> {
    pub(super) queue: Q,
    pub(super) wake: Arc<Notify>,
    pub(super) poll_floor: Duration,
    pub(super) handoff: Arc<Handoff<Q::Item>>,
    pub(super) closing: CancellationToken,
    pub(super) worker: WorkerContext,
}

impl<Q: LeasedQueue> Claimer<Q> {
    /// Claims until the worker stops, then hands back what was not started.
    pub(super) async fn run(self) {
        // Rows may be due already, so the first claim waits for no wake; and after rows came, more may be waiting.
        let mut more = true;
        while self.due(more).await {
            let items = survive("claim", self.queue.claim(self.handoff.room())).await.unwrap_or_default();
            more = !items.is_empty();
            self.handoff.put(items);
        }
        let unstarted = self.handoff.drain();
        if !unstarted.is_empty() {
            let _ = survive("hand back", self.queue.hand_back(unstarted)).await;
        }
    }

    /// Waits for a reason to claim and for room to put the result; false when the worker stops.
    async fn due(&self, more: bool) -> bool {
        if !more {
            // `Notify` keeps a wake that comes while nobody waits, so one that came during the claim ends this at once.
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(self.poll_floor) => {}
                () = self.closing.cancelled() => {}
            }
        }
        while !self.stopping() && self.handoff.room() == 0 {
            tokio::select! {
                () = self.handoff.room_changed() => {}
                // apalis tells a backend of a stop only after the last handler; its flag is looked at meanwhile.
                () = sleep(self.poll_floor) => {}
                () = self.closing.cancelled() => {}
            }
        }
        !self.stopping()
    }

    fn stopping(&self) -> bool {
        self.closing.is_cancelled() || self.worker.is_shutting_down()
    }
}

/// Runs a call of the queue; a panic in it is logged and is worth `None`, because a worker without its claim loop would
/// look healthy and do nothing.
async fn survive<T>(call: &'static str, future: impl Future<Output = T>) -> Option<T> {
    let outcome = AssertUnwindSafe(future).catch_unwind().await;
    outcome.inspect_err(|_| tracing::error!(call, "the queue panicked")).ok()
}
