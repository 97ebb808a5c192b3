//! A queue in memory that can hold a claim open, panic, and tell what was asked of it.

use crate::apalis_queue::LeasedQueue;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

/// Claiming this number panics, once.
pub(super) const PANICS_WHEN_CLAIMED: usize = 1 << 40;
/// Naming this number panics, inside the worker and outside its handlers.
pub(super) const PANICS_WHEN_NAMED: usize = 1 << 41;

pub(super) struct Job {
    id: Uuid,
    pub(super) number: usize,
}

#[derive(Clone)]
pub(super) struct Memory {
    due: Arc<Mutex<VecDeque<Job>>>,
    log: Arc<watch::Sender<Log>>,
    /// Each claim takes a permit after it took its rows, so a test without permits holds it in flight.
    gate: Arc<Semaphore>,
}

/// What the worker has asked so far.
#[derive(Default)]
pub(super) struct Log {
    /// Claims that took their rows, with those in flight.
    pub(super) claims: usize,
    pub(super) handed_back: Vec<usize>,
    /// Claimed, not finished and not handed back; and the most there ever were.
    pub(super) held: usize,
    pub(super) held_most: usize,
}

impl Memory {
    pub(super) fn holding(numbers: impl IntoIterator<Item = usize>) -> Self {
        let queue = Self { due: Arc::default(), log: Arc::default(), gate: Arc::new(Semaphore::new(1 << 20)) };
        numbers.into_iter().for_each(|number| queue.push(number));
        queue
    }

    pub(super) fn push(&self, number: usize) {
        self.due.lock().unwrap().push_back(Job { id: Uuid::from_u128(number as u128), number });
    }

    /// Keeps every claim in flight from here on, until `open`.
    pub(super) fn shut(&self) {
        self.gate.forget_permits(usize::MAX >> 4);
    }

    pub(super) fn open(&self) {
        self.gate.add_permits(1 << 20);
    }

    /// What a handler says last.
    pub(super) fn finished(&self) {
        self.log.send_modify(|log| log.held -= 1);
    }

    pub(super) fn log(&self) -> watch::Ref<'_, Log> {
        self.log.borrow()
    }

    /// Waits until the log says so.
    pub(super) async fn until(&self, reached: impl FnMut(&Log) -> bool) {
        self.log.subscribe().wait_for(reached).await.expect("the queue holds the sender");
    }

    fn take(&self, room: usize) -> Vec<Job> {
        let mut due = self.due.lock().unwrap();
        if due.front().is_some_and(|job| job.number == PANICS_WHEN_CLAIMED) {
            due.pop_front();
            drop(due);
            panic!("asked to");
        }
        let count = room.min(due.len());
        due.drain(..count).collect()
    }
}

impl LeasedQueue for Memory {
    type Item = Job;

    async fn claim(&self, room: usize) -> Vec<Job> {
        let jobs = self.take(room);
        self.log.send_modify(|log| {
            log.claims += 1;
            log.held += jobs.len();
            log.held_most = log.held_most.max(log.held);
        });
        self.gate.acquire().await.expect("the gate is never closed for good").forget();
        jobs
    }

    async fn hand_back(&self, items: Vec<Job>) {
        self.log.send_modify(|log| {
            log.held -= items.len();
            log.handed_back.extend(items.iter().map(|job| job.number));
        });
    }

    fn id(item: &Job) -> Uuid {
        assert!(item.number != PANICS_WHEN_NAMED, "asked to");
        item.id
    }
}
