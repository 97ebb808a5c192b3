//! How often one account may have callbacks settled for one attempt.
//!
//! Whoever has seen a callback's URL may send to it, again and again, what fal once signed for somebody else, or for us long
//! ago. Every such call would lock the job and write rows. Calls are counted by account as well, so that what was signed for
//! another account takes nothing from ours.
//!
//! It leaves out what fal did not sign: that is told apart before anything is stored, and kept bounded by `rejections`.

use domain::AttemptId;
use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Callbacks that pass at once. fal tries a callback at most eleven times.
const BURST: u32 = 64;
/// For one more to pass after that.
const INTERVAL: Duration = Duration::from_secs(10);
/// Attempts that are remembered: at most twice as many, those that were called last.
const YOUNG_MAX: usize = 5_000;

type Key = (AttemptId, String);

/// What has been called lately.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<Generations>);

/// When each key will have all of its burst again. Once there are enough of the young, they become the old, and the old
/// are forgotten.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, Instant>,
    old: HashMap<Key, Instant>,
}

impl Throttle {
    /// Whether a callback that was signed for `user_id` may be settled, and counts it if so.
    pub(crate) fn pass(&self, attempt: AttemptId, user_id: &str, now: Instant) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (attempt, user_id.to_owned());
        let rested = seen.young.get(&key).or_else(|| seen.old.get(&key)).map_or(now, |rested| now.max(*rested));
        let passes = rested.duration_since(now) <= INTERVAL * (BURST - 1);
        if seen.young.len() >= YOUNG_MAX && !seen.young.contains_key(&key) {
            seen.old = mem::take(&mut seen.young);
        }
        seen.young.insert(key, if passes { rested + INTERVAL } else { rested });
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn attempt(number: usize) -> AttemptId {
        AttemptId(Uuid::from_u128(number as u128))
    }

    fn passed(throttle: &Throttle, attempt: AttemptId, user_id: &str, now: Instant) -> u32 {
        (0..1_000).map(|_| u32::from(throttle.pass(attempt, user_id, now))).sum()
    }

    #[test]
    fn a_burst_passes_and_then_one_in_each_interval() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        assert_eq!(passed(&throttle, attempt(1), "user", now), BURST);
        assert_eq!(passed(&throttle, attempt(1), "user", now + INTERVAL), 1);
        assert_eq!(passed(&throttle, attempt(1), "user", now + INTERVAL * 4), 3);
        assert_eq!(passed(&throttle, attempt(1), "user", now + INTERVAL * (2 * BURST)), BURST, "no more than a burst");
    }

    #[test]
    fn what_was_signed_for_another_account_or_attempt_takes_nothing() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        assert_eq!(passed(&throttle, attempt(1), "theirs", now), BURST);
        assert_eq!(passed(&throttle, attempt(1), "ours", now), BURST);
        assert_eq!(passed(&throttle, attempt(2), "theirs", now), BURST);
    }

    #[test]
    fn many_attempts_neither_fill_the_memory_nor_free_whoever_goes_on() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        assert_eq!(passed(&throttle, attempt(0), "user", now), BURST);
        for number in 1..=4 * YOUNG_MAX {
            assert!(throttle.pass(attempt(number), "user", now));
            assert!(number % 1_000 != 0 || !throttle.pass(attempt(0), "user", now), "forgotten after {number}");
        }
        let seen = throttle.0.lock().unwrap();
        assert!(seen.young.len() <= YOUNG_MAX && seen.old.len() <= YOUNG_MAX);
    }
}
