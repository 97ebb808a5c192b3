//! Jobs that somebody else sends to fal: a callback URL that was handed out ([`mint`]), or a request that is under way
//! already ([`adopt`]). Each begins with its one attempt, and from there goes the way of all jobs: [`crate::settle`],
//! [`crate::looks`].

mod adopted;
mod minted;
mod rows;

pub use adopted::{Adopted, NewAdoption, adopt, must_ask};
pub use minted::{Mint, Minted, NewMint, mint};

use crate::{
    accept::{Accepted, Idempotency, NewJob, take_idempotency},
    error::Result,
};
use bytes::Bytes;
use domain::{Adoption, AttemptId, JobId, OnUnknown, Priority, ProjectId};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

/// What is told of a job that somebody else sends. Its ids were minted before, so that an insert whose COMMIT got no answer
/// can be repeated.
#[derive(Clone, Debug)]
pub struct Told {
    pub job: JobId,
    pub attempt: AttemptId,
    pub project: ProjectId,
    pub model: String,
    pub tags: Vec<String>,
    pub metadata: serde_json::Value,
    pub idempotency: Option<Idempotency>,
}

impl Told {
    /// The job as every other is made from. Its input is nobody's business but its sender's.
    fn job(&self) -> NewJob {
        NewJob {
            id: self.job,
            project: self.project,
            credential: None,
            model: self.model.clone(),
            input: Bytes::new(),
            input_sha256: Sha256::digest(b"").into(),
            mints_seed: false,
            priority: Priority::default(),
            run_at: None,
            useful_until: None,
            on_unknown: OnUnknown::Patient,
            attempts_max: Adoption::ATTEMPTS,
            tags: self.tags.clone(),
            metadata: self.metadata.clone(),
            idempotency: self.idempotency.clone(),
            unique: None,
            regenerated_from: None,
            estimated: None,
        }
    }

    /// Takes the idempotency key, and says what becomes of the job.
    async fn take_key(&self, tx: &mut PgConnection) -> Result<Accepted> {
        let mut answers = [Accepted::Created(self.job)];
        take_idempotency(tx, &[self.job()], &mut answers).await?;
        let [accepted] = answers;
        Ok(accepted)
    }
}

#[cfg(test)]
mod tests;
