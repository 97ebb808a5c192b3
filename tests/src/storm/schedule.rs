//! What happens when: a list that the seed alone decides, so that a printed seed repeats it.

use super::proxy::{Cut, When};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use std::time::Duration;

/// Seconds by which a server's clock may be wrong.
pub const SKEW: i64 = 3_600;
/// Both servers.
pub const SERVERS: usize = 2;

/// One thing that goes wrong, or is mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// `kill -9`, and a new start with a clock that is wrong by so many seconds.
    Kill {
        server: usize,
        skew: i64,
    },
    Stop {
        server: usize,
    },
    Continue {
        server: usize,
    },
    /// Ends so many of the servers' connections from Postgres' side.
    TerminateBackends {
        most: u32,
    },
    CrashPostgres,
    CutCommits {
        server: usize,
        cut: Cut,
    },
    Swallow {
        server: usize,
        swallows: bool,
    },
    KeysDown(bool),
    RotateKeys,
}

/// Makes the list for a storm of this length, in the order of time.
pub fn schedule(seed: u64, length: Duration) -> Vec<(Duration, Act)> {
    let mut list = Vec::new();
    let mut dice = SmallRng::seed_from_u64(seed);
    each(&mut dice, length, Duration::from_secs(5), |dice, at| {
        let server = dice.random_range(0..SERVERS);
        // The first server runs ahead at times, the second behind.
        let skew = if dice.random_bool(0.5) { 0 } else { SKEW - 2 * SKEW * i64::from(server == 1) };
        list.push((at, Act::Kill { server, skew }));
    });
    each(&mut dice, length, Duration::from_secs(3), |dice, at| {
        list.push((at, Act::TerminateBackends { most: dice.random_range(1..=3) }));
    });
    each(&mut dice, length, Duration::from_secs(3), |dice, at| {
        let when = if dice.random() { When::BeforeUpstream } else { When::AfterUpstream };
        let pool = ["api", "api", "work", "callbacks", ""][dice.random_range(0..5)];
        let cut = Cut { when, pool, commits: dice.random_range(1..=2) };
        list.push((at, Act::CutCommits { server: dice.random_range(0..SERVERS), cut }));
    });
    each(&mut dice, length, Duration::from_secs(30), |dice, at| {
        let (server, long) = (dice.random_range(0..SERVERS), Duration::from_secs(dice.random_range(4..=8)));
        list.extend([(at, Act::Stop { server }), (at + long, Act::Continue { server })]);
    });
    each(&mut dice, length, Duration::from_mins(1), |dice, at| {
        let (server, long) = (dice.random_range(0..SERVERS), (length / 10).min(Duration::from_secs(10)));
        list.extend([
            (at, Act::Swallow { server, swallows: true }),
            (at + long, Act::Swallow { server, swallows: false }),
        ]);
    });
    each(&mut dice, length, Duration::from_mins(1), |_, at| list.push((at, Act::CrashPostgres)));
    let (down, long) = (length.mul_f64(dice.random_range(0.3..0.5)), (length / 6).min(Duration::from_secs(30)));
    list.extend([(down, Act::KeysDown(true)), (down + long / 2, Act::RotateKeys), (down + long, Act::KeysDown(false))]);
    list.retain(|(at, _)| *at < length);
    list.sort_by_key(|(at, _)| *at);
    list
}

/// Calls once for each whole or begun period, somewhere inside of it, but not before jobs are under way.
fn each(dice: &mut SmallRng, length: Duration, period: Duration, mut make: impl FnMut(&mut SmallRng, Duration)) {
    let period = period.min(length);
    let mut begins = Duration::ZERO;
    while begins < length {
        let at = begins + period.mul_f64(dice.random_range(0.2..0.8));
        make(dice, at);
        begins += period;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_mins(3);

    #[test]
    fn a_seed_repeats_its_schedule_and_another_makes_another() {
        assert_eq!(schedule(7, LENGTH), schedule(7, LENGTH));
        assert_ne!(schedule(7, LENGTH), schedule(8, LENGTH));
    }

    #[test]
    fn three_minutes_hold_every_kind_of_fault_often_enough() {
        let count = |kind: fn(&Act) -> bool| schedule(1, LENGTH).iter().filter(|(_, act)| kind(act)).count();

        assert!(count(|act| matches!(act, Act::Kill { .. })) >= 25);
        assert!(count(|act| matches!(act, Act::Kill { skew, .. } if *skew != 0)) >= 5);
        assert!(count(|act| matches!(act, Act::Stop { .. })) >= 2);
        assert!(count(|act| matches!(act, Act::CrashPostgres)) >= 2);
        assert!(count(|act| matches!(act, Act::CutCommits { .. })) >= 20);
        assert_eq!(count(|act| matches!(act, Act::RotateKeys)), 1);
    }
}
