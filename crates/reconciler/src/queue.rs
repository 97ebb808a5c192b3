//! The attempts that are due for a look, as an apalis worker asks for them.

use crate::look::ReconcilerSettings;
use failpoints::Bug;
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use store::{
    Store,
    apalis_queue::LeasedQueue,
    log_limit::LogLimit,
    looks::{self, DueLook, Stage},
};
use uuid::Uuid;

/// Open attempts whose time has come. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LookQueue {
    store: Store,
    pace: Arc<governor::DefaultDirectRateLimiter>,
    /// Looks that the pace allowed and that asked fal nothing.
    unspent: Arc<AtomicU32>,
    hold: Duration,
    outages: LogLimit,
}

impl LookQueue {
    /// Makes the queue of this process, which begins at most `polls_per_second_max` looks in a second.
    pub fn new(store: Store, settings: &ReconcilerSettings) -> Self {
        let quota = governor::Quota::per_second(settings.polls_per_second_max);
        let pace = Arc::new(governor::RateLimiter::direct(quota));
        Self { store, pace, unspent: Arc::default(), hold: settings.hold, outages: LogLimit::default() }
    }

    /// How many of `room` looks may begin in this second.
    fn allowed(&self, room: usize) -> u32 {
        let mut allowed = self.unspent.swap(0, Ordering::Relaxed).min(u32::try_from(room).unwrap_or(u32::MAX));
        while (allowed as usize) < room && self.pace.check().is_ok() {
            allowed += 1;
        }
        allowed
    }
}

impl LeasedQueue for LookQueue {
    type Item = DueLook;

    async fn claim(&self, room: usize) -> Vec<DueLook> {
        if failpoints::seeded(Bug::NoReconciling) {
            return Vec::new();
        }
        // The pace is asked for no more than is due. What was allowed and is no longer due is not given back, which only
        // makes the cap stricter.
        let due = match looks::count_due(&self.store, room).await {
            Ok(due) => due,
            Err(error) => return self.log(&error),
        };
        let allowed = self.allowed(due);
        if allowed == 0 {
            return Vec::new();
        }
        match looks::claim_due(&self.store, allowed, self.hold).await {
            Ok(due) => {
                // A lost lease is no question to fal, nor is a callback URL that expired. The pace would let the work of a
                // killed process wait for seconds.
                let free = due
                    .iter()
                    .filter(|look| matches!(look.stage, Stage::LeaseRanOut | Stage::Awaited { candidate: None }))
                    .count();
                self.unspent.fetch_add(u32::try_from(free).unwrap_or(0), Ordering::Relaxed);
                due
            }
            Err(error) => self.log(&error),
        }
    }

    /// A look that never began is due again when its hold ends; giving it back saves that wait.
    async fn hand_back(&self, items: Vec<DueLook>) {
        let ids: Vec<_> = items.iter().map(|look| (look.job, look.attempt)).collect();
        if let Err(error) = looks::hand_back(&self.store, &ids).await {
            self.log(&error);
        }
    }

    fn id(item: &DueLook) -> Uuid {
        item.attempt.0
    }
}

impl LookQueue {
    fn log(&self, error: &store::Error) -> Vec<DueLook> {
        if let Some(missed) = self.outages.pass() {
            tracing::warn!(error = error as &dyn Error, missed, "due attempts cannot be read");
        }
        Vec::new()
    }
}
