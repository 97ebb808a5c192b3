//! The shelf between the claim loop, which fills it, and the apalis worker, which empties it.
//!
//! The worker says how many items it could start; the claimer claims no more than that. What lies here was claimed and
//! not started, which is exactly what a stop hands back.

use futures::task::AtomicWaker;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Context,
};
use tokio::sync::Notify;

pub(super) struct Handoff<T> {
    shelf: Mutex<Shelf<T>>,
    /// The worker, when it found the shelf empty.
    worker: AtomicWaker,
    /// Tells the claimer that `Shelf::room` may have grown.
    room: Notify,
}

struct Shelf<T> {
    items: VecDeque<T>,
    /// How many items the worker could start, as it last said with the shelf empty; 0 while items lie here.
    room: usize,
}

impl<T> Handoff<T> {
    pub(super) fn new() -> Self {
        let shelf = Shelf { items: VecDeque::new(), room: 0 };
        Self { shelf: Mutex::new(shelf), worker: AtomicWaker::new(), room: Notify::new() }
    }

    /// Takes the oldest item; on an empty shelf leaves word that `room` items are wanted and who is to be woken.
    pub(super) fn take(&self, cx: &Context<'_>, room: usize) -> Option<T> {
        let mut state = self.lock();
        if let Some(item) = state.items.pop_front() {
            return Some(item);
        }
        // Under the lock, so that `put` cannot fall between the look and the registration.
        self.worker.register(cx.waker());
        state.room = room;
        drop(state);
        if room > 0 {
            self.room.notify_one();
        }
        None
    }

    /// Puts a claimed batch on the shelf and wakes the worker; an empty batch changes nothing.
    pub(super) fn put(&self, items: Vec<T>) {
        if items.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.room = 0;
        state.items.extend(items);
        drop(state);
        self.worker.wake();
    }

    /// How many items the worker could start.
    pub(super) fn room(&self) -> usize {
        self.lock().room
    }

    /// Waits until the worker speaks up. A word that came before the call ends the wait at once.
    pub(super) async fn room_changed(&self) {
        self.room.notified().await;
    }

    /// Empties the shelf.
    pub(super) fn drain(&self) -> Vec<T> {
        self.lock().items.drain(..).collect()
    }

    /// The shelf holds whole items at every moment, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Shelf<T>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
