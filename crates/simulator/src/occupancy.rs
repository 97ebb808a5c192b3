//! How busy the slots were: integrals over time, to prove that none idled while work was waiting.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use serde::Serialize;

/// The use of the slots since the start or the last reset. All times are real seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Occupancy {
    /// How many slots there are at the moment.
    pub slots: u32,
    /// How many are busy at the moment.
    pub busy: u32,
    /// The most that were ever busy at once.
    pub busy_most: u32,
    /// How long the measuring has lasted.
    pub elapsed_seconds: f64,
    /// Busy slots integrated over time.
    pub busy_slot_seconds: f64,
    /// Slots that could have been busy, integrated over time: the smaller of slots and of requests queued or running.
    pub wanted_slot_seconds: f64,
    /// How long at least one request was waiting in fal's queue.
    pub queued_seconds: f64,
    /// Queued requests integrated over time.
    pub backlog_seconds: f64,
    /// How long each slot was busy, lowest slot first. A free slot of the lowest number is always taken first.
    pub per_slot_busy_seconds: Vec<f64>,
}

/// Gives out slots and integrates their use.
#[derive(Debug)]
pub(crate) struct SlotMeter {
    slots: u32,
    busy: u32,
    free: BinaryHeap<Reverse<u32>>,
    per_slot: Vec<(f64, Option<Duration>)>,
    queued: usize,
    last: Duration,
    since: Duration,
    totals: Totals,
}

#[derive(Debug, Default)]
struct Totals {
    busy_most: u32,
    busy: f64,
    wanted: f64,
    queued: f64,
    backlog: f64,
}

impl SlotMeter {
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            slots,
            busy: 0,
            free: BinaryHeap::new(),
            per_slot: Vec::new(),
            queued: 0,
            last: Duration::ZERO,
            since: Duration::ZERO,
            totals: Totals::default(),
        }
    }

    /// Changes the account's limit; what runs goes on running.
    pub(crate) fn set_slots(&mut self, slots: u32, now: Duration) {
        self.advance(now);
        self.slots = slots;
    }

    pub(crate) fn has_free(&self) -> bool {
        self.busy < self.slots
    }

    pub(crate) fn busy(&self) -> u32 {
        self.busy
    }

    /// Notes how many requests wait from `now` on.
    pub(crate) fn set_queued(&mut self, queued: usize, now: Duration) {
        self.advance(now);
        self.queued = queued;
    }

    /// Takes the lowest free slot.
    pub(crate) fn take(&mut self, now: Duration) -> u32 {
        self.advance(now);
        self.busy += 1;
        self.totals.busy_most = self.totals.busy_most.max(self.busy);
        let slot =
            self.free.pop().map_or_else(|| u32::try_from(self.per_slot.len()).unwrap_or(u32::MAX), |slot| slot.0);
        let index = index(slot);
        if index == self.per_slot.len() {
            self.per_slot.push((0.0, None));
        }
        self.per_slot[index].1 = Some(now);
        slot
    }

    /// Gives a slot back.
    pub(crate) fn give(&mut self, slot: u32, now: Duration) {
        self.advance(now);
        self.busy -= 1;
        let (busy, since) = &mut self.per_slot[index(slot)];
        if let Some(since) = since.take() {
            *busy += now.saturating_sub(since).as_secs_f64();
        }
        self.free.push(Reverse(slot));
    }

    /// Starts measuring anew; what is busy stays so.
    pub(crate) fn reset(&mut self, now: Duration) {
        (self.since, self.last) = (now, now);
        self.totals = Totals { busy_most: self.busy, ..Totals::default() };
        for (busy, since) in &mut self.per_slot {
            *busy = 0.0;
            *since = since.map(|_| now);
        }
    }

    pub(crate) fn read(&mut self, now: Duration) -> Occupancy {
        self.advance(now);
        let running = |since: &Option<Duration>| since.map_or(0.0, |since| now.saturating_sub(since).as_secs_f64());
        Occupancy {
            slots: self.slots,
            busy: self.busy,
            busy_most: self.totals.busy_most,
            elapsed_seconds: now.saturating_sub(self.since).as_secs_f64(),
            busy_slot_seconds: self.totals.busy,
            wanted_slot_seconds: self.totals.wanted,
            queued_seconds: self.totals.queued,
            backlog_seconds: self.totals.backlog,
            per_slot_busy_seconds: self.per_slot.iter().map(|(busy, since)| busy + running(since)).collect(),
        }
    }

    fn advance(&mut self, now: Duration) {
        let span = now.saturating_sub(self.last).as_secs_f64();
        self.last = now;
        let queued = u32::try_from(self.queued).unwrap_or(u32::MAX);
        let wanted = self.busy.saturating_add(queued).min(self.slots.max(self.busy));
        self.totals.busy += span * f64::from(self.busy);
        self.totals.wanted += span * f64::from(wanted);
        self.totals.backlog += span * f64::from(queued);
        if queued > 0 {
            self.totals.queued += span;
        }
    }
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).expect("a slot number is an index")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::SlotMeter;

    #[test]
    fn integrals_add_up() {
        let at = Duration::from_secs;
        let mut meter = SlotMeter::new(2);
        let (first, _second) = (meter.take(at(0)), meter.take(at(0)));
        meter.set_queued(3, at(0));
        meter.give(first, at(10));
        let read = meter.read(at(15));
        assert!((read.busy_slot_seconds - 25.0).abs() < 1e-9);
        assert!((read.wanted_slot_seconds - 30.0).abs() < 1e-9);
        assert!((read.queued_seconds - 15.0).abs() < 1e-9);
        assert!((read.backlog_seconds - 45.0).abs() < 1e-9);
        assert_eq!((read.per_slot_busy_seconds.as_slice(), read.busy_most), ([10.0, 15.0].as_slice(), 2));
    }

    #[test]
    fn a_reset_forgets_the_past_but_not_what_runs() {
        let at = Duration::from_secs;
        let mut meter = SlotMeter::new(2);
        meter.take(at(0));
        meter.reset(at(5));
        let read = meter.read(at(8));
        assert!((read.busy_slot_seconds - 3.0).abs() < 1e-9);
        assert_eq!((read.per_slot_busy_seconds, read.busy), (vec![3.0], 1));
    }
}
