//! Whether another attempt follows a failed one, and when.

use crate::ErrorClass;
use std::time::Duration;

/// Exponential back-off with full jitter, after "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Upper end of the wait after the first attempt.
    pub first: Duration,
    /// Upper end of every wait.
    pub longest: Duration,
}

impl RetryPolicy {
    /// Returns the wait after attempt `number` (counting from 1): `first × 2^(number − 1)`, at most `longest`, scaled by
    /// `jitter`, a number from 0 to 1 that the caller draws.
    ///
    /// What fal asked for with `Retry-After` is waited out first, and the jitter added, so that a crowd that was told
    /// the same second does not come back in it.
    pub fn wait(&self, number: u16, retry_after: Option<Duration>, jitter: f64) -> Duration {
        let doublings = u32::from(number.saturating_sub(1)).min(30);
        let spread = self.first.saturating_mul(1 << doublings).min(self.longest).mul_f64(jitter.clamp(0.0, 1.0));
        match retry_after {
            Some(asked) => asked.min(self.longest) + spread.min(self.first),
            None => spread,
        }
    }
}

impl ErrorClass {
    /// Whether a fresh attempt may end otherwise without anybody changing anything, and without paying a second time for
    /// what was already made.
    ///
    /// An expired or oversize result was paid for, so only a person may order it again.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::NotSent
            | Self::RateLimited
            | Self::Credential
            | Self::ModelError
            | Self::TimeoutStart
            | Self::TimeoutRun
            | Self::Infrastructure
            | Self::Abandoned
            | Self::Internal => true,
            Self::Validation
            | Self::UnknownModel
            | Self::ContentPolicy
            | Self::MediaInput
            | Self::NoMedia
            | Self::ResultExpired
            | Self::ResultTooLarge
            | Self::Canceled => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: RetryPolicy = RetryPolicy { first: Duration::from_secs(2), longest: Duration::from_mins(5) };

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<u64> = (1..=9).map(|n| POLICY.wait(n, None, 1.0).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300]);
    }

    #[test]
    fn what_fal_asked_for_is_waited_out() {
        let asked = Duration::from_secs(30);
        assert_eq!(POLICY.wait(1, Some(asked), 0.0), asked);
        assert_eq!(POLICY.wait(9, Some(asked), 1.0), asked + POLICY.first);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_longer_than_the_longest(number in 0u16.., jitter in -1.0f64..2.0) {
            prop_assert!(POLICY.wait(number, None, jitter) <= POLICY.longest);
        }
    }
}
