//! What a project submits: read, checked, priced and handed to the store.

mod enqueue;
mod fields;
mod prices;
mod request;
mod rules;

pub use enqueue::EnqueueError;
pub use fields::{FieldError, InvalidRequest, Members};
pub use prices::{Prices, UnitPrice};
pub use request::JobRequest;

use domain::{JobId, ProjectId};
use failpoints::Bug;
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use store::accept::{Accepted, Acceptor, Answer, Idempotency, NewJob};

/// Turns requests into jobs. Cheap to clone; needs no server.
///
/// Each job is paid by its project's own fal account, or by the default one.
#[derive(Clone, Debug)]
pub struct Submitter {
    /// Attempts of a job that says nothing of them.
    pub attempts_max: u16,
    pub prices: Prices,
}

impl Default for Submitter {
    /// Five attempts, no prices. [`Submitter::load`] takes them from the database instead.
    fn default() -> Self {
        Self { attempts_max: 5, prices: Prices::default() }
    }
}

impl Submitter {
    /// What a job made of `request` would cost, in US dollars; nothing where the price is not known.
    pub fn estimate(&self, request: &JobRequest) -> Option<Decimal> {
        self.prices.estimate(request.model.as_str(), &request.input)
    }

    /// Mints the job's id and takes down what is stored of it.
    pub fn prepare(&self, project: ProjectId, request: JobRequest, idempotency: Option<Idempotency>) -> NewJob {
        NewJob {
            id: JobId(store::fresh_id()),
            project,
            credential: None,
            input_sha256: Sha256::digest(&request.input).into(),
            mints_seed: fal::seeds::takes_seed(&request.model) && !fal::seeds::has_seed(&request.input),
            estimated: self.estimate(&request),
            model: request.model.as_str().to_owned(),
            input: request.input,
            priority: request.priority,
            run_at: request.run_at,
            useful_until: request.useful_until,
            on_unknown: request.on_unknown,
            attempts_max: request.attempts_max.unwrap_or(self.attempts_max),
            tags: request.tags,
            metadata: request.metadata,
            idempotency: idempotency.filter(|_| !failpoints::seeded(Bug::NoIdempotency)),
            unique: request.unique,
            regenerated_from: request.regenerated_from,
        }
    }
}

/// Takes single jobs of many callers and commits them together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Intake {
    pub submitter: Submitter,
    pub acceptor: Acceptor,
}

impl Intake {
    /// Accepts a job. It is committed when this returns, and a lost answer can be asked again with the same key.
    pub async fn accept(
        &self,
        project: ProjectId,
        request: JobRequest,
        idempotency: Option<Idempotency>,
    ) -> Result<Answer, store::Error> {
        let job = self.submitter.prepare(project, request, idempotency);
        let answer = self.acceptor.submit(job).await?;
        metrics::counter!("falconer_jobs_accepted_total", "outcome" => outcome(answer.accepted)).increment(1);
        Ok(answer)
    }
}

const fn outcome(accepted: Accepted) -> &'static str {
    match accepted {
        Accepted::Created(_) => "created",
        Accepted::Replayed(_) => "replayed",
        Accepted::KeyReused(_) => "key_reused",
        Accepted::NotUnique(_) => "not_unique",
    }
}
