//! fal's current signing keys, kept fresh without ever waiting on fal for a callback that the kept keys can verify.
//!
//! The store fails closed: without keys that are young enough a callback cannot be checked, and is never taken as
//! genuine. Where the keys are persisted is the caller's affair.

mod fetch;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use url::Url;

use crate::callback::{CallbackHeaders, JwksError, VerifyingKeys};
use crate::web::{self, BaseUrlError};

/// After this age, in-memory keys are fetched anew; fal's page allows no longer cache.
pub const REFRESH_AFTER: Duration = Duration::from_hours(24);

/// Beyond this age, keys verify nothing.
pub const USABLE_FOR: Duration = Duration::from_hours(7 * 24);

/// The least time between two fetches, so that forged callbacks cannot make us flood fal.
pub const COOL_DOWN: Duration = Duration::from_secs(30);

/// What the signature of a callback is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Genuine,
    /// No key signs this, and the keys are fal's of this moment or of at most a cool-down ago.
    Forged,
    /// There are no usable keys, or no kept key signs this and fal's newest could not be had. To be asked again.
    CannotCheck,
}

/// A key set as fal sent it, for whoever persists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawJwks {
    pub bytes: Bytes,
    /// Seconds since 1970 by the wall clock the store was given.
    pub fetched_unix: i64,
}

/// What became of a wish for fresh keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// fal's keys were fetched.
    Fresh,
    /// The last fetch was good and too recent for another one.
    CoolingDown,
    /// fal's keys could not be had, now or within the cool-down; the kept ones stay.
    Failed,
}

/// The keys that callbacks are checked with. Cheap to clone; all clones share the keys.
#[derive(Clone, Debug)]
pub struct KeyStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    url: Url,
    unix_now: fn() -> i64,
    kept: RwLock<Option<Kept>>,
    /// Held during a fetch, so that all who wait share one.
    last_fetch: Mutex<Option<Fetch>>,
    fresh: watch::Sender<Option<Arc<RawJwks>>>,
}

#[derive(Clone, Debug)]
struct Kept {
    keys: Arc<VerifyingKeys>,
    /// Age when they were kept, since a persisted set was fetched by an earlier process.
    age_then: Duration,
    since: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Fetch {
    began: Instant,
    was_good: bool,
}

impl KeyStore {
    /// Makes a store without keys that fetches from `url`: https, or http to a loopback host. `unix_now` stamps the
    /// fetched sets and ages the persisted ones, in seconds since 1970; every wait is monotonic.
    pub fn new(http: reqwest::Client, url: Url, unix_now: fn() -> i64) -> Result<Self, BaseUrlError> {
        web::check_base_url(&url)?;
        let kept = RwLock::new(None);
        let (last_fetch, fresh) = (Mutex::new(None), watch::Sender::new(None));
        Ok(Self { inner: Arc::new(Inner { http, url, unix_now, kept, last_fetch, fresh }) })
    }

    /// Takes in a set that was persisted, unless younger keys are held. It verifies until it is [`USABLE_FOR`] old.
    pub fn load_persisted(&self, bytes: &[u8], fetched_unix: i64) -> Result<(), JwksError> {
        let keys = VerifyingKeys::from_jwks(bytes)?;
        let age = (self.inner.unix_now)().saturating_sub(fetched_unix);
        self.inner.keep_if_younger(keys, Duration::from_secs(u64::try_from(age).unwrap_or(0)));
        Ok(())
    }

    /// Judges a callback's signature. Waits on fal only when the kept keys do not verify it.
    pub async fn check(&self, headers: &CallbackHeaders, body: &[u8]) -> Verdict {
        let tried = self.inner.usable();
        if let Some(kept) = &tried {
            if kept.age() > REFRESH_AFTER {
                self.refresh_in_background();
            }
            if kept.keys.verify(headers, body) {
                return Verdict::Genuine;
            }
        }
        let refreshed = self.refresh().await;
        let is_new = |kept: &Kept| tried.as_ref().is_none_or(|tried| !Arc::ptr_eq(&tried.keys, &kept.keys));
        match self.inner.usable() {
            Some(kept) if is_new(&kept) && kept.keys.verify(headers, body) => Verdict::Genuine,
            Some(_) if refreshed != Refresh::Failed => Verdict::Forged,
            _ => Verdict::CannotCheck,
        }
    }

    /// Fetches fal's keys, unless that was tried less than [`COOL_DOWN`] ago. Callers at the same time share a fetch,
    /// which goes on when they leave: otherwise a forger who hangs up would spend the cool-down for nothing.
    pub async fn refresh(&self) -> Refresh {
        if let Some(recent) = self.inner.recent() {
            return recent;
        }
        self.spawn_refresh().await.unwrap_or(Refresh::Failed)
    }

    /// Each set that was fetched, for whoever persists them.
    pub fn fresh_sets(&self) -> watch::Receiver<Option<Arc<RawJwks>>> {
        self.inner.fresh.subscribe()
    }

    /// How old the kept keys are; `None` without any. For metrics and readiness.
    pub fn age(&self) -> Option<Duration> {
        self.inner.kept().map(|kept| kept.age())
    }

    fn refresh_in_background(&self) {
        // With the lock taken, somebody is fetching already.
        if self.inner.last_fetch.try_lock().is_ok() && self.inner.recent().is_none() {
            drop(self.spawn_refresh());
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it ends within the fetch's 5 s, and a drain loses nothing by it")]
    fn spawn_refresh(&self) -> JoinHandle<Refresh> {
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move { inner.refresh().await })
    }
}

impl Inner {
    async fn refresh(&self) -> Refresh {
        let mut last_fetch = self.last_fetch.lock().await;
        if let Some(recent) = last_fetch.and_then(Fetch::recent) {
            return recent;
        }
        let began = Instant::now();
        let fetched = fetch::fetch(&self.http, &self.url).await;
        *last_fetch = Some(Fetch { began, was_good: fetched.is_ok() });
        match fetched {
            Ok((bytes, keys)) => {
                self.keep(keys, Duration::ZERO);
                let fetched_unix = (self.unix_now)();
                self.fresh.send_replace(Some(Arc::new(RawJwks { bytes, fetched_unix })));
                Refresh::Fresh
            }
            Err(error) => {
                tracing::warn!(%error, "could not fetch fal's keys; the kept ones stay");
                Refresh::Failed
            }
        }
    }

    /// The answer of a fetch that is over and still recent, without waiting for one that is going on.
    fn recent(&self) -> Option<Refresh> {
        let last_fetch = self.last_fetch.try_lock().ok()?;
        last_fetch.and_then(Fetch::recent)
    }

    fn kept(&self) -> Option<Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn usable(&self) -> Option<Kept> {
        self.kept().filter(|kept| kept.age() <= USABLE_FOR)
    }

    fn keep(&self, keys: VerifyingKeys, age: Duration) {
        let kept = Kept { keys: Arc::new(keys), age_then: age, since: Instant::now() };
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }

    fn keep_if_younger(&self, keys: VerifyingKeys, age: Duration) {
        if self.kept().is_none_or(|kept| age < kept.age()) {
            self.keep(keys, age);
        }
    }
}

impl Kept {
    fn age(&self) -> Duration {
        self.age_then + self.since.elapsed()
    }
}

impl Fetch {
    /// What this fetch answers to a wish within its cool-down; `None` when it is over.
    fn recent(self) -> Option<Refresh> {
        let answer = if self.was_good { Refresh::CoolingDown } else { Refresh::Failed };
        (self.began.elapsed() < COOL_DOWN).then_some(answer)
    }
}
