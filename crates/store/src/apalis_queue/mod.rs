//! Leased rows as apalis tasks: apalis runs the handlers, our own tables stay the queue.
//!
//! A [`LeasedQueue`] claims due rows in batches. [`QueueBackend`] hands each claimed row, typed and in memory, to an
//! apalis worker as the task's argument: nothing is encoded, and apalis writes nothing. A handler awaits its own
//! outcome's commit before it returns, so a finished handler is a recorded outcome, and a handler that died leaves a row
//! whose lease runs out.
//!
//! Left out on purpose: retries, acknowledgements, heartbeats and pushing through apalis. Rows are inserted, and their
//! next state is decided, by the rest of this crate (`docs/adr/0001-apalis-over-our-own-tables.md`).

mod backend;
mod claimer;
mod handoff;
mod run;

pub use backend::QueueBackend;
pub use run::{RunError, run};

use std::future::Future;
use uuid::Uuid;

/// A queue of leased rows, as a worker sees it.
pub trait LeasedQueue: Clone + Send + Sync + 'static {
    /// The claimed row, which becomes the handler's first argument.
    type Item: Send + Sync + 'static;

    /// Claims what is due, in one batch, at most `room` items (`room` is 1 or more).
    ///
    /// Never fails: the implementation logs an outage, rate limited, and returns nothing, which is asked again after the
    /// poll floor. It bounds its own time, because a stop waits for it.
    fn claim(&self, room: usize) -> impl Future<Output = Vec<Self::Item>> + Send;

    /// Gives back items that were claimed and never started, so that they need not wait for their lease.
    fn hand_back(&self, items: Vec<Self::Item>) -> impl Future<Output = ()> + Send;

    /// Names the item in traces.
    fn id(item: &Self::Item) -> Uuid;
}

#[cfg(test)]
mod tests;
