//! Who waits for a job to change. However many do, one look at the database serves them all.
//!
//! A process looks when it changed a job itself or hears of an end in another one, and at least once a second, since what
//! others do otherwise is not told. Each look asks
//! for the versions of all jobs that are watched; only who watches one that moved reads it.

use crate::{Store, error::Result, log_limit::LogLimit, wake::Wakes};
use domain::JobId;
use std::{
    collections::HashMap,
    error::Error,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// How long a change that another process made may go unseen.
const POLL_FLOOR: Duration = Duration::from_secs(1);

/// The least time between two looks, so that many changes do not multiply.
const POLL_CEILING: Duration = Duration::from_millis(50);

/// A look that took long is followed by a pause this many times as long, so that watching never takes more than a small part
/// of a connection.
const REST: u32 = 9;

/// The version that is told of a job that is not there, later than any other.
const GONE: i32 = i32::MAX;

/// The jobs that somebody in this process watches. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watch {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    watched: Mutex<HashMap<JobId, watch::Sender<i32>>>,
    came: Notify,
}

/// One who watches a job. Dropping it ends that.
#[derive(Debug)]
pub struct Watcher {
    job: JobId,
    version: watch::Receiver<i32>,
    shared: Arc<Shared>,
}

impl Watch {
    /// Starts looking, on `tasks` and until `stop`. Where nobody watches, nothing is asked.
    pub fn start(store: &Store, wakes: &Wakes, tasks: &TaskTracker, stop: &CancellationToken) -> Self {
        let shared = Arc::new(Shared::default());
        tasks.spawn(look_on(store.clone(), wakes.clone(), Arc::clone(&shared), stop.clone()));
        Self { shared }
    }

    /// Watches a job. Whoever reads it after this misses no change.
    pub fn on(&self, job: JobId) -> Watcher {
        let version = {
            let mut watched = self.shared.watched();
            watched.entry(job).or_insert_with(|| watch::Sender::new(0)).subscribe()
        };
        self.shared.came.notify_one();
        Watcher { job, version, shared: Arc::clone(&self.shared) }
    }
}

impl Watcher {
    /// Resolves when the job is no longer as it was at `seen`, its version. Nothing is lost where this is dropped.
    pub async fn beyond(&mut self, seen: i32) {
        // The sender lives for as long as this watcher does.
        let _ = self.version.wait_for(|version| *version > seen).await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut watched = self.shared.watched();
        if watched.get(&self.job).is_some_and(|version| version.receiver_count() <= 1) {
            watched.remove(&self.job);
        }
    }
}

impl Shared {
    fn watched(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<i32>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the watchers of each job its version. A job without one is not there.
    fn tell(&self, asked: &[JobId], versions: &HashMap<JobId, i32>) {
        let watched = self.watched();
        for job in asked {
            let now = versions.get(job).copied().unwrap_or(GONE);
            if let Some(version) = watched.get(job) {
                version.send_if_modified(|version| std::mem::replace(version, now) != now);
            }
        }
    }
}

async fn look_on(store: Store, wakes: Wakes, shared: Arc<Shared>, stop: CancellationToken) {
    let outages = LogLimit::default();
    loop {
        // Listening begins before the look, so that a change between the look and the wait is heard.
        let (mut moved, mut ended) = (pin!(wakes.moved.notified()), pin!(wakes.ended.notified()));
        moved.as_mut().enable();
        ended.as_mut().enable();
        let asked: Vec<JobId> = shared.watched().keys().copied().collect();
        if asked.is_empty() {
            tokio::select! {
                () = shared.came.notified() => continue,
                () = stop.cancelled() => return,
            }
        }
        let looked_at = Instant::now();
        match versions(&store, &asked).await {
            Ok(versions) => shared.tell(&asked, &versions),
            Err(error) => {
                if let Some(missed) = outages.pass() {
                    tracing::warn!(
                        error = &error as &dyn Error,
                        missed,
                        "jobs that are watched could not be looked at"
                    );
                }
            }
        }
        let earliest = Instant::now() + POLL_CEILING.max(looked_at.elapsed() * REST);
        let latest = earliest.max(looked_at + POLL_FLOOR);
        let wakened = async {
            tokio::select! {
                () = moved => {}
                () = ended => {}
            }
            sleep_until(earliest).await;
        };
        tokio::select! {
            () = wakened => {}
            () = sleep_until(latest) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Reads the versions of jobs, whosever they are: a watcher is told that something moved, and reads what as its project.
async fn versions(store: &Store, jobs: &[JobId]) -> Result<HashMap<JobId, i32>> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    // Each id is looked up by itself, so that only the partition that may hold it is read.
    let rows = sqlx::query!(
        r#"select j.id as "id: JobId", j.version
           from unnest($1::uuid[]) as w (id)
           cross join lateral (select j.id, j.version from falconer.jobs j where j.id = w.id offset 0) as j"#,
        &ids,
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.version)).collect())
}

#[cfg(test)]
mod tests;
