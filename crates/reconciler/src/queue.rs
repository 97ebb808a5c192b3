//! The attempts that are due for a look, as an apalis worker asks for them.

use crate::look::ReconcilerSettings;
use std::{error::Error, sync::Arc, time::Duration};
use store::{
    Store,
    apalis_queue::LeasedQueue,
    log_limit::LogLimit,
    looks::{self, DueLook},
};
use uuid::Uuid;

/// How long after its claim an attempt is due again, whatever became of the looker: as long as a lease, so that the looks
/// of a killed process are made by another one soon. A look that takes longer is made twice, which changes nothing.
const HOLD: Duration = Duration::from_secs(30);

/// Open attempts whose time has come. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LookQueue {
    store: Store,
    pace: Arc<governor::DefaultDirectRateLimiter>,
    outages: LogLimit,
}

impl LookQueue {
    /// Makes the queue of this process, which begins at most `polls_per_second_max` looks in a second.
    pub fn new(store: Store, settings: &ReconcilerSettings) -> Self {
        let quota = governor::Quota::per_second(settings.polls_per_second_max);
        Self { store, pace: Arc::new(governor::RateLimiter::direct(quota)), outages: LogLimit::default() }
    }

    /// How many of `room` looks may begin in this second.
    fn allowed(&self, room: usize) -> u32 {
        let mut allowed = 0;
        while (allowed as usize) < room && self.pace.check().is_ok() {
            allowed += 1;
        }
        allowed
    }
}

impl LeasedQueue for LookQueue {
    type Item = DueLook;

    async fn claim(&self, room: usize) -> Vec<DueLook> {
        // Claimed one by one from what the pace allows: looks that were allowed and not due are not given back, which
        // only makes the cap stricter when nothing is due.
        let due = match looks::count_due(&self.store, room).await {
            Ok(due) => due,
            Err(error) => return self.log(&error),
        };
        let allowed = self.allowed(due);
        if allowed == 0 {
            return Vec::new();
        }
        match looks::claim_due(&self.store, allowed, HOLD).await {
            Ok(due) => due,
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
