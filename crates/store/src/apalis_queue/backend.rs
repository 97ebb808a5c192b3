//! The apalis backend over a [`LeasedQueue`].
//!
//! It implements `Backend` itself. The state machine that apalis offers for stores (`Persisted`) fetches again whenever a
//! handler ends, forgets a fetch in flight when it stops, and dies of one error.

use super::{LeasedQueue, claimer::Claimer, handoff::Handoff};
use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    layers::Identity,
    task::{Task, builder::TaskBuilder, task_id::TaskId},
    worker::context::WorkerContext,
};
use futures::FutureExt as _;
use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Feeds one apalis worker from a [`LeasedQueue`].
///
/// It claims when `wake` is notified, and at least every `poll_floor`; after a batch that was not empty it claims again as
/// soon as there is room. Handlers that run do not hold a claim up. It has no errors, so no outage stops its worker.
///
/// A worker that is dropped rather than stopped hands back what it had not started, too.
#[must_use = "a backend does nothing until a worker polls it"]
pub struct QueueBackend<Q: LeasedQueue> {
    queue: Q,
    wake: Arc<Notify>,
    poll_floor: Duration,
    batch: usize,
    slots: usize,
    handoff: Arc<Handoff<Q::Item>>,
    closing: CancellationToken,
    claimer: Option<JoinHandle<()>>,
}

impl<Q: LeasedQueue> QueueBackend<Q> {
    /// Makes a backend that claims at most `batch` items at once (1 or more).
    ///
    /// Backends may share `wake`: each `notify_one` reaches one of them.
    pub fn new(queue: Q, wake: Arc<Notify>, poll_floor: Duration, batch: usize) -> Self {
        Self {
            queue,
            wake,
            poll_floor,
            batch: batch.max(1),
            slots: usize::MAX,
            handoff: Arc::new(Handoff::new()),
            closing: CancellationToken::new(),
            claimer: None,
        }
    }

    /// Bounds the items held, running and waiting together (1 or more; no bound unless set).
    ///
    /// This limits the worker's concurrency at the claim: whatever is claimed starts at once, so that no lease is spent on
    /// waiting for a handler, and other processes may claim the rest. apalis' own `concurrency` limits the start only.
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots.max(1);
        self
    }

    fn start(&self, worker: &WorkerContext) -> JoinHandle<()> {
        let claimer = Claimer {
            queue: self.queue.clone(),
            wake: Arc::clone(&self.wake),
            poll_floor: self.poll_floor,
            handoff: Arc::clone(&self.handoff),
            closing: self.closing.clone(),
            worker: worker.clone(),
        };
        #[expect(clippy::disallowed_methods, reason = "the worker's stop waits for it in poll_close")]
        tokio::spawn(claimer.run())
    }

    /// The worker counts a task from its call to the drop of its future, so room never counts a slot twice.
    fn room(&self, worker: &WorkerContext) -> usize {
        self.batch.min(self.slots.saturating_sub(worker.task_count()))
    }
}

/// Ends the claim loop of a worker that was dropped; after a stop there is none.
impl<Q: LeasedQueue> Drop for QueueBackend<Q> {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

impl<Q: LeasedQueue> Backend for QueueBackend<Q> {
    type Task = Task<Q::Item>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), Infallible>> {
        if self.claimer.is_none() {
            self.claimer = Some(self.start(worker));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Task<Q::Item>, Infallible>>> {
        let Some(item) = self.handoff.take(cx, self.room(worker)) else {
            return Poll::Pending;
        };
        let id = TaskId::from_uuid(Q::id(&item));
        Poll::Ready(Some(Ok(TaskBuilder::new(item).task_id(id).build())))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        self.closing.cancel();
        if let Some(claimer) = &mut self.claimer {
            // It ends by itself and catches panics; only a runtime that goes down cancels it, and then nothing is left to do.
            let _ = ready!(claimer.poll_unpin(cx));
            self.claimer = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<Q: LeasedQueue> BackendConfig for QueueBackend<Q> {
    type Args = Q::Item;
    type Id = Uuid;
    /// apalis' name for a backend whose tasks need no decoding: the item itself is the argument.
    type Kind = Ephemeral;
    type Config = ();
    /// No layer, so apalis acknowledges nothing: the handler has recorded its outcome itself.
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
