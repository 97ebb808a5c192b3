//! How long fal takes with each model, so that a callback that does not come is noticed in time.
//!
//! Measured from our submit to fal's callback; results that only a look found are left out, since they came when we
//! looked and not when they were made. Every process learns from what it settles and shares it through one table.

use crate::{Store, error::Result};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Samples that each process keeps of each model.
const WINDOW: usize = 512;
/// Share of missed callbacks from which looks come earlier.
const MANY_MISSED: f64 = 0.1;
/// Weight of the newest success in the moving average.
const MEMORY: f64 = 0.03;
/// Samples below which nothing is said of a model.
const SAMPLES_MIN: usize = 5;

/// What is known of one model's latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    pub p50: Duration,
    pub p95: Duration,
    pub p99: Duration,
}

/// The latencies of all models. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ModelStats {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    windows: HashMap<String, Window>,
    known: HashMap<String, Latency>,
    /// Share of recent successes that a look found, as a moving average: callbacks that are lost or late.
    missed: f64,
}

#[derive(Debug, Default)]
struct Window {
    samples: VecDeque<u64>,
    seen: u64,
    fresh: bool,
}

impl ModelStats {
    /// What is known of `model`, by this process or another.
    pub fn latency(&self, model: &str) -> Option<Latency> {
        self.lock().known.get(model).copied()
    }

    /// When to look first at a run that was just submitted; nothing where the model's latency is not known.
    ///
    /// A callback that has not come by the 95th percentile is probably lost. Where many are, a run whose callback is lost
    /// holds its place until it is looked at, so looks come halfway between the median and that.
    pub fn first_look(&self, model: &str) -> Option<Duration> {
        let inner = self.lock();
        let latency = inner.known.get(model)?;
        let early = inner.missed > MANY_MISSED;
        Some(if early { latency.p50 + latency.p95.saturating_sub(latency.p50) / 2 } else { latency.p95 })
    }

    /// Notes successes that a look found before their callback came.
    pub fn note_found_by_look(&self, count: usize) {
        if count > 0 {
            let mut inner = self.lock();
            (0..count).for_each(|_| inner.missed += (1.0 - inner.missed) * MEMORY);
        }
    }

    /// Notes how many milliseconds single runs took, from our submit to fal's callback.
    pub fn note(&self, latencies: &[(String, u64)]) {
        if latencies.is_empty() {
            return;
        }
        let mut inner = self.lock();
        for (model, ms) in latencies {
            inner.missed -= inner.missed * MEMORY;
            let window = inner.windows.entry(model.clone()).or_default();
            if window.samples.len() == WINDOW {
                window.samples.pop_front();
            }
            window.samples.push_back(*ms);
            window.seen += 1;
            window.fresh = true;
            if let Some(latency) = window.latency() {
                inner.known.insert(model.clone(), latency);
            }
        }
    }

    /// Shares what this process has learnt since the last call, and takes over what others have.
    pub async fn exchange(&self, store: &Store) -> Result<()> {
        let fresh = self.take_fresh();
        if !fresh.is_empty() {
            share(store, &fresh).await?;
        }
        let rows = sqlx::query!("select model, p50_ms, p95_ms, p99_ms from falconer.model_stats")
            .fetch_all(&store.pools.maintenance)
            .await?;
        let mut inner = self.lock();
        for row in rows {
            let ms = |value: i64| Duration::from_millis(value.unsigned_abs());
            let theirs = Latency { p50: ms(row.p50_ms), p95: ms(row.p95_ms), p99: ms(row.p99_ms) };
            let own = inner.windows.get(&row.model).and_then(Window::latency);
            inner.known.insert(row.model, own.unwrap_or(theirs));
        }
        Ok(())
    }

    fn take_fresh(&self) -> Vec<(String, Latency, u64)> {
        let mut inner = self.lock();
        let windows = inner.windows.iter_mut();
        windows
            .filter_map(|(model, window)| {
                let fresh = std::mem::take(&mut window.fresh);
                fresh.then(|| window.latency().map(|latency| (model.clone(), latency, window.seen))).flatten()
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock, and a stale estimate would do no harm.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn latency(&self) -> Option<Latency> {
        if self.samples.len() < SAMPLES_MIN {
            return None;
        }
        let mut sorted: Vec<u64> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        let at = |percent: usize| Duration::from_millis(sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]);
        Some(Latency { p50: at(50), p95: at(95), p99: at(99) })
    }
}

async fn share(store: &Store, fresh: &[(String, Latency, u64)]) -> Result<()> {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let mut rows: Vec<_> = fresh.iter().collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    sqlx::query!(
        "insert into falconer.model_stats as s (model, p50_ms, p95_ms, p99_ms, samples, updated_at)
         select n.*, clock.now
         from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) as n,
              (select falconer.now() as now offset 0) as clock
         on conflict (model) do update set p50_ms = excluded.p50_ms, p95_ms = excluded.p95_ms,
             p99_ms = excluded.p99_ms, samples = excluded.samples, updated_at = excluded.updated_at",
        &rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>(),
        &rows.iter().map(|row| ms(row.1.p50)).collect::<Vec<_>>(),
        &rows.iter().map(|row| ms(row.1.p95)).collect::<Vec<_>>(),
        &rows.iter().map(|row| ms(row.1.p99)).collect::<Vec<_>>(),
        &rows.iter().map(|row| i64::try_from(row.2).unwrap_or(i64::MAX)).collect::<Vec<_>>(),
    )
    .execute(&store.pools.maintenance)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
