//! Who takes up the handlers of a process: an account whose submits hang must leave some for the others.

use domain::CredentialId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The attempts of each account that are being sent. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seats(Arc<Mutex<HashMap<CredentialId, Seat>>>);

/// Counts for its account until it is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seat(Arc<()>);

impl Seats {
    /// The seat of an account; each clone of it counts as one attempt.
    pub(crate) fn of(&self, account: CredentialId) -> Seat {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(account).or_default().clone()
    }

    /// How many attempts of an account are being sent.
    pub(crate) fn taken(&self, account: CredentialId) -> usize {
        let seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seats.get(&account).map_or(0, |seat| Arc::strong_count(&seat.0) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_counts_for_its_account_until_it_is_dropped() {
        let seats = Seats::default();
        let other = CredentialId(store::fresh_id());
        let held = [seats.of(CredentialId::DEFAULT), seats.of(CredentialId::DEFAULT)];
        assert_eq!((seats.taken(CredentialId::DEFAULT), seats.taken(other)), (2, 0));
        drop(held);
        assert_eq!(seats.taken(CredentialId::DEFAULT), 0);
    }
}
