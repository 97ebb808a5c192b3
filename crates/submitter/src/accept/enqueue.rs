//! Jobs from a backend in Rust, inside its own transaction.

use super::{InvalidRequest, JobRequest, Prices, Submitter, UnitPrice, rules};
use domain::{JobId, ProjectId};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use store::accept::{Accepted, Idempotency, NewJob};

/// Why no job was made. Whatever it is, nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// The same key came before with another request.
    #[error("the idempotency key was used for another request, which is job {job}")]
    KeyReused { job: JobId },
    /// The database refused. [`store::Error::Repeat`] asks for the whole transaction again.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Submitter {
    /// A submitter with the settings that the servers of this database use, and the prices that they know.
    pub async fn load(connection: &mut PgConnection) -> Result<Self, store::Error> {
        let attempts_max = store::accept::settings(connection).await?.attempts_max;
        let prices = Prices::default();
        prices.replace(
            store::accept::dollars(connection)
                .await?
                .into_iter()
                .map(|(model, unit, unit_price)| (model, UnitPrice { unit, unit_price })),
        );
        Ok(Self { attempts_max, prices })
    }

    /// Finds the project of that name.
    pub async fn project(&self, connection: &mut PgConnection, name: &str) -> Result<Option<ProjectId>, store::Error> {
        store::accept::project(connection, name).await
    }

    /// Makes a job inside the caller's own transaction. Nothing is seen or sent before that commits; then the job is
    /// found within the poll floor of one second, or at once after [`Submitter::wake`].
    ///
    /// Answers with the job that holds the request's unique key where there is one. After an error the transaction stands
    /// as it stood before the call.
    pub async fn enqueue(
        &self,
        tx: &mut PgConnection,
        project: ProjectId,
        request: JobRequest,
    ) -> Result<JobId, EnqueueError> {
        let made = self.insert(tx, project, vec![(None, request)]).await?;
        Ok(made[0].job())
    }

    /// As [`Submitter::enqueue`], and makes one job however often it is called with this key within two days. The key
    /// follows the rules of the header `Idempotency-Key` and shares its names: one that came by another way is refused.
    ///
    /// Waits for another transaction that holds the key to end.
    pub async fn enqueue_once(
        &self,
        tx: &mut PgConnection,
        project: ProjectId,
        key: &str,
        request: JobRequest,
    ) -> Result<JobId, EnqueueError> {
        let made = self.insert(tx, project, vec![(Some(key.to_owned()), request)]).await?;
        Ok(made[0].job())
    }

    /// Makes many jobs, all or none, with a few statements in all; some thousands at once are well. Answers one for one,
    /// in order.
    pub async fn enqueue_all(
        &self,
        tx: &mut PgConnection,
        project: ProjectId,
        requests: impl IntoIterator<Item = JobRequest>,
    ) -> Result<Vec<JobId>, EnqueueError> {
        let requests = requests.into_iter().map(|request| (None, request)).collect();
        Ok(self.insert(tx, project, requests).await?.into_iter().map(Accepted::job).collect())
    }

    /// As [`Submitter::enqueue_all`], each with a key as [`Submitter::enqueue_once`] takes it.
    pub async fn enqueue_all_once(
        &self,
        tx: &mut PgConnection,
        project: ProjectId,
        requests: impl IntoIterator<Item = (String, JobRequest)>,
    ) -> Result<Vec<JobId>, EnqueueError> {
        let requests = requests.into_iter().map(|(key, request)| (Some(key), request)).collect();
        Ok(self.insert(tx, project, requests).await?.into_iter().map(Accepted::job).collect())
    }

    /// Lets the servers look for work at once when the caller's transaction commits; nothing when it rolls back. Once for
    /// a transaction is enough. Commits that notify wait for each other, so whoever makes many jobs a second does well
    /// without.
    pub async fn wake(&self, tx: &mut PgConnection) -> Result<(), store::Error> {
        store::accept::wake(tx).await
    }

    async fn insert(
        &self,
        tx: &mut PgConnection,
        project: ProjectId,
        requests: Vec<(Option<String>, JobRequest)>,
    ) -> Result<Vec<Accepted>, EnqueueError> {
        let mut jobs: Vec<NewJob> = Vec::with_capacity(requests.len());
        for (key, request) in requests {
            request.check()?;
            let idempotency = key.map(|key| keyed(key, &request)).transpose()?;
            jobs.push(self.prepare(project, request, idempotency));
        }
        let answers = store::accept::insert_within(tx, &jobs, |made| match made {
            Accepted::KeyReused(job) => Err(EnqueueError::KeyReused { job }),
            made => Ok(made),
        });
        answers.await
    }
}

fn keyed(key: String, request: &JobRequest) -> Result<Idempotency, InvalidRequest> {
    rules::idempotency_key(&key).map_err(|error| InvalidRequest(vec![error]))?;
    Ok(Idempotency { key, fingerprint: fingerprint(request), reset_failed: false })
}

/// SHA-256 over all that the caller asked for, so that the same key with another request is noticed.
fn fingerprint(request: &JobRequest) -> [u8; 32] {
    let unique = request.unique.as_ref().map(|unique| (&unique.key, unique.period.as_nanos().to_string()));
    let asked = json!({
        "model": request.model, "input": Sha256::digest(&request.input).to_vec(), "priority": request.priority.level(),
        "run_at": request.run_at, "useful_until": request.useful_until, "on_unknown": request.on_unknown.as_str(),
        "max_attempts": request.attempts_max, "tags": request.tags, "metadata": request.metadata, "unique": unique,
    });
    Sha256::new().chain_update("falconer_submitter\n").chain_update(asked.to_string()).finalize().into()
}
