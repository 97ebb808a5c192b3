//! Ways to make a build for tests fail on purpose: [`hit`] marks where a process may be made to die, [`seeded`] asks
//! whether a known bug is switched on, and [`clock_skew`] how wrong the clock of this process is.
//!
//! All of it is there in builds with debug assertions, the profile of tests, and nothing of it in a release build, where
//! every function here is empty or a constant: see [`ENABLED`]. A test binary is told what to do by its environment, since
//! it dies and is started again. A crate of others was looked at (`fail`): it is switched by a cargo feature, which would
//! build everything a second time, and cannot abort.

mod bug;
mod point;

pub use bug::{Bug, seeded};
pub use point::{Point, hit};

/// Whether this build can be made to fail.
pub const ENABLED: bool = cfg!(debug_assertions);

/// Where to fail and how: `POINT:HIT` aborts the process at that hit, counted from one; `POINT:HIT:stop` stops it there as
/// SIGSTOP does.
pub const POINT_VARIABLE: &str = "FALCONER_FAILPOINT";
/// Which bug is switched on, by its name.
pub const BUG_VARIABLE: &str = "FALCONER_SEEDED_BUG";
/// Seconds by which this process's own clock is wrong; negative is behind.
pub const SKEW_VARIABLE: &str = "FALCONER_CLOCK_SKEW";

/// Whether an environment variable is one of those that switch this crate; none is in a release build, which so refuses
/// them as it refuses every name that it does not know.
pub fn is_switch(variable: &str) -> bool {
    ENABLED && [POINT_VARIABLE, BUG_VARIABLE, SKEW_VARIABLE].contains(&variable)
}

/// How wrong the clock of this process is, in seconds; 0 in a release build and where nothing is set.
#[inline]
pub fn clock_skew() -> i64 {
    #[cfg(debug_assertions)]
    {
        static SKEW: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
        *SKEW.get_or_init(|| variable(SKEW_VARIABLE).map_or(0, |said| seconds(&said)))
    }
    #[cfg(not(debug_assertions))]
    0
}

#[cfg(debug_assertions)]
fn seconds(said: &str) -> i64 {
    said.parse().unwrap_or_else(|_| panic!("{SKEW_VARIABLE} = {said:?} is not a number of seconds"))
}

#[cfg(debug_assertions)]
#[expect(clippy::disallowed_methods, reason = "no configuration of a release may know these")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|said| !said.is_empty())
}
