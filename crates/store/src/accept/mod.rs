//! Jobs in: one transaction makes a job, its idempotency key and its unique key, or finds the job that was there.

mod keys;
mod rows;
mod settings;
mod within;

pub(crate) use keys::take_idempotency;
pub use settings::{SubmitSettings, publish, settings};
pub use within::{dollars, insert_within, project, wake};

use crate::{
    Store,
    batch::{BatchSettings, Batcher},
    error::Result,
    jobs::JobView,
    wake::Wakes,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{CredentialId, JobId, OnUnknown, Priority, ProjectId};
use failpoints::{Bug, Point};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use std::{collections::HashMap, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long an idempotency key is remembered.
pub const KEY_LIFE: Duration = Duration::from_hours(48);

/// A job that was checked and may be inserted. Its id was minted before, so that an insert whose COMMIT got no answer can
/// be repeated.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub id: JobId,
    pub project: ProjectId,
    /// Who pays. Nothing means the project's own account, and the default one where it has none.
    pub credential: Option<CredentialId>,
    pub model: String,
    /// The input as the caller sent it.
    pub input: Bytes,
    pub input_sha256: [u8; 32],
    /// Whether each attempt is to get a seed of ours.
    pub mints_seed: bool,
    pub priority: Priority,
    /// Nothing, or an instant that has passed, means at once.
    pub run_at: Option<DateTime<Utc>>,
    pub useful_until: Option<DateTime<Utc>>,
    pub on_unknown: OnUnknown,
    /// From 1 to 100.
    pub attempts_max: u16,
    pub tags: Vec<String>,
    pub metadata: serde_json::Value,
    pub idempotency: Option<Idempotency>,
    pub unique: Option<Unique>,
    pub regenerated_from: Option<JobId>,
    /// In US dollars, where the price is known.
    pub estimated: Option<Decimal>,
}

/// The caller's promise that equal keys mean one job.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// From 1 to 255 characters.
    pub key: String,
    /// SHA-256 over route and body.
    pub fingerprint: [u8; 32],
    /// Whether a key whose job failed is free again.
    pub reset_failed: bool,
}

/// The caller's wish that there be one such job in a period.
#[derive(Clone, Debug)]
pub struct Unique {
    /// From 1 to 255 characters.
    pub key: String,
    pub period: Duration,
}

/// What became of a new job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    Created(JobId),
    /// The same key with the same body came before.
    Replayed(JobId),
    /// The same key came before with another body. Nothing was made.
    KeyReused(JobId),
    /// Another job holds the unique key. Nothing was made, and an idempotency key leads to that job from here on.
    NotUnique(JobId),
}

impl Accepted {
    /// The job that the caller is told of.
    pub const fn job(self) -> JobId {
        match self {
            Self::Created(id) | Self::Replayed(id) | Self::KeyReused(id) | Self::NotUnique(id) => id,
        }
    }
}

/// What a new job is from its first moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Born {
    /// `queued` or `scheduled`.
    pub state: String,
    pub created_at: DateTime<Utc>,
    pub run_at: DateTime<Utc>,
}

/// What became of a new job, and how it looks where it was made: an accept needs no read beside its insert.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub accepted: Accepted,
    pub view: Option<JobView>,
}

/// Inserts `jobs` inside the caller's own transaction and answers one for one, in order.
///
/// Running it again with the same ids makes nothing twice.
pub async fn insert(tx: &mut PgConnection, jobs: &[NewJob]) -> Result<Vec<Answer>> {
    let mut answers: Vec<Accepted> = jobs.iter().map(|job| Accepted::Created(job.id)).collect();
    keys::take_idempotency(tx, jobs, &mut answers).await?;
    keys::take_unique(tx, jobs, &mut answers).await?;
    keys::lead_to_holders(tx, jobs, &mut answers).await?;
    let fresh: Vec<&NewJob> = jobs
        .iter()
        .zip(&answers)
        .filter(|(job, answer)| **answer == Accepted::Created(job.id))
        .map(|(job, _)| job)
        .collect();
    let born = if fresh.is_empty() { HashMap::new() } else { rows::insert(tx, &fresh).await? };
    let view = |job: &NewJob| born.get(&job.id).map(|born| JobView::of_new(job, born));
    Ok(jobs.iter().zip(answers).map(|(job, accepted)| Answer { accepted, view: view(job) }).collect())
}

/// Where single jobs are handed in and committed together.
pub type Acceptor = Batcher<NewJob, Answer>;

/// Starts the writers that commit accepted jobs, and wake the dispatcher after each commit.
pub fn start(store: &Store, wakes: &Wakes, tasks: &TaskTracker, stop: &CancellationToken) -> Acceptor {
    let settings = BatchSettings { name: "accept", writers: 2, items_max: 500, waiting_max: 10_000 };
    let (pool, wakes) = (store.pools.api.clone(), wakes.clone());
    Batcher::start(settings, tasks, stop, move |jobs: Vec<NewJob>| {
        let (pool, wakes) = (pool.clone(), wakes.clone());
        Box::pin(async move {
            let mut tx = pool.begin().await?;
            let answers = insert(&mut tx, &jobs).await?;
            failpoints::hit(Point::AcceptBeforeCommit);
            if failpoints::seeded(Bug::AcknowledgeBeforeCommit) {
                #[expect(clippy::disallowed_methods, reason = "a seeded bug: nobody waits for this commit")]
                tokio::spawn(tx.commit());
                return Ok(answers);
            }
            tx.commit().await?;
            failpoints::hit(Point::AcceptAfterCommit);
            wakes.dispatch.notify_one();
            Ok(answers)
        })
    })
}

#[cfg(test)]
mod tests;
