//! Who may stay connected when the room is full.
//!
//! A connection with a request in hand keeps its seat. Of the others, which wait for their clients, the one that has waited
//! longest goes first, and those whose last request was a POST that succeeded, as strangers send none, go after all the
//! rest. So nginx treats its reusable connections, and it costs an honest client no more than another connect.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Seats that are cleared when descriptors run out.
const SOME: usize = 64;

/// All seats. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Seats {
    free: Arc<Semaphore>,
    waiting: Arc<Waiting>,
}

/// One connection's seat; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    waiting: Arc<Waiting>,
    place: Mutex<Option<Place>>,
    lost: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

/// Connections that wait for their clients, first to go first.
#[derive(Debug, Default)]
struct Waiting {
    line: Mutex<Line>,
    grew: Notify,
}

#[derive(Debug, Default)]
struct Line {
    next: u64,
    places: BTreeMap<Place, CancellationToken>,
}

/// Where a connection stands: behind all that have earned less, then behind all that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    earned: bool,
    number: u64,
}

impl Seats {
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), waiting: Arc::default() }
    }

    /// Takes a free seat, or the seat of whoever is first to go. Waits while everybody has a request in hand.
    pub(crate) async fn take(&self) -> Seat {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.take_over().await,
        };
        let seat = Seat {
            waiting: Arc::clone(&self.waiting),
            place: Mutex::new(None),
            lost: CancellationToken::new(),
            _permit: permit,
        };
        seat.waiting(false);
        seat
    }

    /// Sends away some of those who wait.
    pub(crate) fn clear_some(&self) {
        for _ in 0..SOME {
            if !self.waiting.send_away() {
                return;
            }
        }
    }

    async fn take_over(&self) -> OwnedSemaphorePermit {
        // One is sent away for one who comes. Where nobody waits, the first that does is sent away.
        let sending = async {
            loop {
                let grew = self.waiting.grew.notified();
                if self.waiting.send_away() {
                    return;
                }
                grew.await;
            }
        };
        let mut free = std::pin::pin!(Arc::clone(&self.free).acquire_owned());
        let taken = tokio::select! {
            taken = &mut free => taken,
            () = sending => free.await,
        };
        taken.expect("the semaphore is never closed")
    }
}

impl Seat {
    /// The connection has a request in hand, and keeps its seat. False where the seat is somebody else's already, whose
    /// request came too late: no work is done for it beyond the room's bound.
    #[must_use]
    pub(crate) fn busy(&self) -> bool {
        self.leave_line() && !self.lost.is_cancelled()
    }

    /// False where it stood in the line and was sent away.
    fn leave_line(&self) -> bool {
        lock(&self.place).take().is_none_or(|place| lock(&self.waiting.line).places.remove(&place).is_some())
    }

    /// The connection waits for its client.
    pub(crate) fn waiting(&self, earned: bool) {
        self.leave_line();
        *lock(&self.place) = Some(self.waiting.stand(earned, self.lost.clone()));
    }

    /// Resolves when somebody else was given the seat.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave_line();
    }
}

impl Waiting {
    fn stand(&self, earned: bool, lost: CancellationToken) -> Place {
        let place = {
            let mut line = lock(&self.line);
            line.next += 1;
            let place = Place { earned, number: line.next };
            line.places.insert(place, lost);
            place
        };
        self.grew.notify_one();
        place
    }

    /// Sends away the first of the line; false where nobody stands in it.
    fn send_away(&self) -> bool {
        let first = lock(&self.line).places.pop_first();
        if let Some((_, lost)) = &first {
            metrics::counter!("falconer_connections_sent_away_total").increment(1);
            lost.cancel();
        }
        first.is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn who_has_waited_longest_makes_room_and_nobody_else_does() {
        let seats = Seats::new(3);
        let (oldest, second, third) = (seats.take().await, seats.take().await, seats.take().await);
        assert!(oldest.busy());

        let mut coming = Box::pin(seats.take());
        assert!(coming.as_mut().now_or_never().is_none(), "the seat is not free before its holder has left");
        assert!(second.lost.is_cancelled() && !oldest.lost.is_cancelled() && !third.lost.is_cancelled());
        drop(second);
        coming.await;
        assert!(!third.lost.is_cancelled());
    }

    #[tokio::test]
    async fn whoever_brought_a_good_callback_goes_last() {
        let seats = Seats::new(2);
        let (good, stranger) = (seats.take().await, seats.take().await);
        assert!(good.busy());
        good.waiting(true);

        assert!(seats.take().now_or_never().is_none());
        assert!(stranger.lost.is_cancelled() && !good.lost.is_cancelled());
        assert!(seats.take().now_or_never().is_none());
        assert!(good.lost.is_cancelled(), "it is better than a stranger, not better than everybody");
    }

    #[tokio::test]
    async fn while_everybody_has_a_request_in_hand_the_next_waits_for_the_first_who_is_done() {
        let seats = Seats::new(1);
        let busy = seats.take().await;
        assert!(busy.busy());
        let mut coming = Box::pin(seats.take());
        assert!(coming.as_mut().now_or_never().is_none());

        busy.waiting(true);
        assert!(coming.as_mut().now_or_never().is_none());
        assert!(busy.lost.is_cancelled());
        drop(busy);
        coming.await;
    }

    #[tokio::test]
    async fn whoever_was_sent_away_before_its_request_came_is_not_heard() {
        let seats = Seats::new(1);
        let first = seats.take().await;
        assert!(seats.waiting.send_away());
        assert!(!first.busy() && !first.busy());
        let other = Seats::new(1).take().await;
        assert!(other.busy() && other.busy(), "a second request in hand changes nothing");
    }

    #[tokio::test]
    async fn out_of_descriptors_only_those_who_wait_are_sent_away() {
        let seats = Seats::new(3);
        let (busy, waiting) = (seats.take().await, seats.take().await);
        assert!(busy.busy());
        seats.clear_some();
        assert!(waiting.lost.is_cancelled() && !busy.lost.is_cancelled());
    }
}
