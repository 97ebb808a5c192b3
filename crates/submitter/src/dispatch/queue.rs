//! The claim of ready jobs, as an apalis worker asks for it.

use super::{Dispatch, DispatchSettings, seats::Seats};
use accounts::{Accounts, ActiveAccount};
use domain::{AttemptId, CredentialId, Dice};
use failpoints::Bug;
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use store::{
    Store,
    apalis_queue::LeasedQueue,
    claim::{ClaimRequest, claim, with_ready_jobs},
    log_limit::LogLimit,
    settle::{AttemptNews, Guard, Settler, Source},
};
use tokio::time::Instant;
use uuid::Uuid;

/// Part of the lease in which nothing is sent any more, so that an answer can still be recorded under it.
const RECORD_MARGIN: Duration = Duration::from_secs(2);

/// The jobs that may be sent, of every account in turn. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DispatchQueue {
    store: Store,
    accounts: Accounts,
    settler: Settler,
    settings: Arc<DispatchSettings>,
    seats: Seats,
    /// Which account is asked first moves on with every claim.
    turn: Arc<AtomicUsize>,
    owner: Uuid,
    dice: Dice,
    outages: LogLimit,
}

impl DispatchQueue {
    /// Makes the queue of this process. Its name in leases is new each time, so that nobody keeps alive what a dead
    /// namesake held.
    pub fn new(
        store: Store,
        accounts: Accounts,
        settler: Settler,
        settings: Arc<DispatchSettings>,
        dice: Dice,
    ) -> Self {
        Self {
            store,
            accounts,
            settler,
            settings,
            seats: Seats::default(),
            turn: Arc::default(),
            owner: Uuid::new_v4(),
            dice,
            outages: LogLimit::default(),
        }
    }

    /// The accounts that have something to send, in turn.
    async fn payers(&self) -> store::error::Result<Vec<ActiveAccount>> {
        let mut active = self.accounts.active();
        if active.len() > 1 {
            let ids: Vec<_> = active.iter().map(|account| account.id).collect();
            let ready = with_ready_jobs(&self.store, &ids).await?;
            active.retain(|account| ready.contains(&account.id));
            active.sort_by_key(|account| account.id);
        }
        if !active.is_empty() {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % active.len();
            active.rotate_left(first);
        }
        Ok(active)
    }

    /// How many handlers an account may take: all where it is alone, else half, so that one that hangs leaves the rest.
    fn share(&self, account: CredentialId, is_alone: bool) -> usize {
        let most = if is_alone { self.settings.handlers_max } else { (self.settings.handlers_max / 2).max(1) };
        most.saturating_sub(self.seats.taken(account))
    }

    async fn claim_of(&self, account: ActiveAccount, room: usize) -> store::error::Result<Vec<Dispatch>> {
        let asked = Instant::now();
        let timeouts = &self.settings.timeouts;
        let places = account.slots.saturating_add(self.settings.in_flight_margin);
        let room = room.min(places as usize);
        let fresh: Vec<(AttemptId, i64)> =
            (0..room).map(|_| (AttemptId(store::fresh_id()), self.dice.seed())).collect();
        let request = ClaimRequest {
            credential: account.id,
            owner: self.owner,
            places: if failpoints::seeded(Bug::NoSlotCount) { u32::MAX } else { places },
            timeouts,
            fresh: &fresh,
        };
        let claimed = claim(&self.store, &request).await?;
        if !claimed.is_empty() {
            metrics::counter!("falconer_attempts_claimed_total").increment(claimed.len() as u64);
        }
        let send_before = asked + timeouts.lease.saturating_sub(RECORD_MARGIN);
        let seated = |claimed| Dispatch { claimed, send_before, seat: self.seats.of(account.id) };
        Ok(claimed.into_iter().map(seated).collect())
    }

    fn log(&self, error: &store::Error) {
        if let Some(missed) = self.outages.pass() {
            tracing::warn!(error = error as &dyn Error, missed, "jobs cannot be claimed");
        }
    }
}

impl LeasedQueue for DispatchQueue {
    type Item = Dispatch;

    async fn claim(&self, room: usize) -> Vec<Dispatch> {
        let payers = match self.payers().await {
            Ok(payers) => payers,
            Err(error) => {
                self.log(&error);
                return Vec::new();
            }
        };
        let is_alone = self.accounts.active().len() < 2;
        let mut dispatches = Vec::new();
        for (asked, account) in payers.iter().enumerate() {
            // What one account leaves is shared by those after it.
            let fair = (room - dispatches.len()).div_ceil(payers.len() - asked);
            let room = fair.min(self.share(account.id, is_alone));
            if room == 0 {
                continue;
            }
            match self.claim_of(*account, room).await {
                Ok(claimed) => dispatches.extend(claimed),
                Err(error) => self.log(&error),
            }
        }
        dispatches
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
