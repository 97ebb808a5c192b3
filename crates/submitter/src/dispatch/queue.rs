//! The claim of ready jobs, as an apalis worker asks for it.

use super::{Dispatch, DispatchSettings};
use domain::{AttemptId, Dice};
use failpoints::Bug;
use std::{error::Error, sync::Arc, time::Duration};
use store::{
    Store,
    apalis_queue::LeasedQueue,
    claim::{ClaimRequest, claim},
    log_limit::LogLimit,
    settle::{AttemptNews, Guard, Settler, Source},
};
use tokio::time::Instant;
use uuid::Uuid;

/// Part of the lease in which nothing is sent any more, so that an answer can still be recorded under it.
const RECORD_MARGIN: Duration = Duration::from_secs(2);

/// The jobs of one credential that may be sent. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DispatchQueue {
    store: Store,
    settler: Settler,
    settings: Arc<DispatchSettings>,
    owner: Uuid,
    dice: Dice,
    outages: LogLimit,
}

impl DispatchQueue {
    /// Makes the queue of this process. Its name in leases is new each time, so that nobody keeps alive what a dead
    /// namesake held.
    pub fn new(store: Store, settler: Settler, settings: Arc<DispatchSettings>, dice: Dice) -> Self {
        Self { store, settler, settings, owner: Uuid::new_v4(), dice, outages: LogLimit::default() }
    }
}

impl LeasedQueue for DispatchQueue {
    type Item = Dispatch;

    async fn claim(&self, room: usize) -> Vec<Dispatch> {
        let asked = Instant::now();
        let timeouts = &self.settings.timeouts;
        let fresh: Vec<(AttemptId, i64)> =
            (0..room).map(|_| (AttemptId(store::fresh_id()), self.dice.seed())).collect();
        let request = ClaimRequest {
            credential: self.settings.credential,
            owner: self.owner,
            places: if failpoints::seeded(Bug::NoSlotCount) { u32::MAX } else { self.settings.places },
            timeouts,
            fresh: &fresh,
        };
        match claim(&self.store, &request).await {
            Ok(claimed) => {
                if !claimed.is_empty() {
                    metrics::counter!("falconer_attempts_claimed_total").increment(claimed.len() as u64);
                }
                let send_before = asked + timeouts.lease.saturating_sub(RECORD_MARGIN);
                claimed.into_iter().map(|claimed| Dispatch { claimed, send_before }).collect()
            }
            Err(error) => {
                if let Some(missed) = self.outages.pass() {
                    tracing::warn!(error = &error as &dyn Error, missed, "jobs cannot be claimed");
                }
                Vec::new()
            }
        }
    }

    /// Nothing of these was sent, so their attempts are taken back.
    async fn hand_back(&self, items: Vec<Dispatch>) {
        let taken_back = items.into_iter().map(|item| {
            let guard = Guard::Lease { fence: item.claimed.fence };
            let event = domain::AttemptEvent::NotSent;
            let news = AttemptNews {
                message: Some("the process stopped before it was sent".to_owned()),
                ..AttemptNews::of(item.claimed.attempt, Some(event), guard, Source::Submit)
            };
            super::record(&self.settler, self.dice, news)
        });
        futures::future::join_all(taken_back).await;
    }

    fn id(item: &Dispatch) -> Uuid {
        item.claimed.attempt.0
    }
}
