//! How many requests a key may make. Each process counts for itself: behind two, a key has twice as many.
//!
//! One request counts as one, whatever it holds: a batch of ten thousand jobs is one, and so is a stream that stays open
//! for an hour. What a batch may hold has bounds of its own.

use crate::{Problem, ProblemKind};
use domain::KeyId;
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use http::{HeaderName, HeaderValue, header::RETRY_AFTER};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use store::keys::{Authenticated, Rate};

/// Keys that are counted at once. One more, and all begin afresh.
const COUNTED_MAX: usize = 10_000;

/// What is left of a quota, by draft-ietf-httpapi-ratelimit-headers.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The requests of this process. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// For keys without a rate of their own; nothing means no limit.
    of_most: Option<Rate>,
    counted: Arc<Mutex<Counted>>,
}

/// The rate that a key is counted by, and how much of it is left.
type Counted = HashMap<KeyId, (Rate, Arc<DefaultDirectRateLimiter>)>;

impl Rates {
    /// Counts by `of_most` where a key says nothing.
    pub fn new(of_most: Option<Rate>) -> Self {
        Self { of_most, counted: Arc::default() }
    }

    /// Counts one request, or refuses it and says when to come again.
    pub(crate) fn count(&self, found: &Authenticated) -> Result<(), Problem> {
        let Some(rate) = found.rate.or(self.of_most) else { return Ok(()) };
        let Err(not_until) = self.limiter(found.key, rate).check() else { return Ok(()) };
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Err(refusal(rate, seconds.max(1)))
    }

    fn limiter(&self, key: KeyId, rate: Rate) -> Arc<DefaultDirectRateLimiter> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((own, limiter)) = counted.get(&key)
            && *own == rate
        {
            return Arc::clone(limiter);
        }
        if counted.len() >= COUNTED_MAX {
            counted.clear();
        }
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst.unwrap_or(rate.per_second));
        let limiter = Arc::new(RateLimiter::direct(quota));
        counted.insert(key, (rate, Arc::clone(&limiter)));
        limiter
    }
}

fn refusal(rate: Rate, seconds: u64) -> Problem {
    let (per_second, burst) = (rate.per_second, rate.burst.unwrap_or(rate.per_second));
    let text = |text: String| HeaderValue::from_str(&text).expect("numbers are visible ASCII");
    Problem::from(ProblemKind::RateLimited)
        .detail(format!("This key may make {per_second} requests each second, and {burst} at once."))
        .header(RETRY_AFTER, seconds)
        .header(RATE_LIMIT, text(format!("\"key\";r=0;t={seconds}")))
        .header(RATE_LIMIT_POLICY, text(format!("\"key\";q={per_second};w=1")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ProjectId;
    use std::num::NonZeroU32;
    use store::keys::{Payloads, Scopes};

    fn caller(bits: u128, rate: Option<Rate>) -> Authenticated {
        Authenticated {
            key: KeyId(uuid::Uuid::from_u128(bits)),
            project: ProjectId::DEFAULT,
            scopes: Scopes::of_project(),
            payloads: Payloads::Visible,
            rate,
        }
    }

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate { per_second: NonZeroU32::new(per_second).unwrap(), burst: NonZeroU32::new(burst) }
    }

    #[test]
    fn each_key_has_its_own_share_and_the_setting_is_for_those_that_say_nothing() {
        let rates = Rates::new(Some(rate(1, 2)));
        let (one, other, wide) = (caller(1, None), caller(2, None), caller(3, Some(rate(1, 4))));
        let passed = |key: &Authenticated| (0..10).filter(|_| rates.count(key).is_ok()).count();
        assert_eq!((passed(&one), passed(&other), passed(&wide)), (2, 2, 4));
        assert_eq!((0..100).filter(|_| Rates::default().count(&one).is_ok()).count(), 100, "no limit is no limit");
    }

    #[test]
    fn another_rate_begins_afresh() {
        let rates = Rates::new(None);
        assert!(rates.count(&caller(1, Some(rate(1, 1)))).is_ok());
        assert!(rates.count(&caller(1, Some(rate(1, 1)))).is_err());
        assert!(rates.count(&caller(1, Some(rate(1, 3)))).is_ok());
    }
}
