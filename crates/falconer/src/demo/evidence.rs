//! What the three witnesses say, read once when it is over.

use super::stage::Stage;
use anyhow::{Context, Result};
use domain::{JobId, TokenKeys};
use secrecy::ExposeSecret;
use simulator::RequestView;
use store::report::{self, AttemptLine, CallbackLine, JobLine};

/// The three testimonies.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// Jobs that the API answered with 202.
    pub(super) acknowledged: Vec<JobId>,
    /// Every POST that fal took, by its own account. Read before the tables, so that they hold at least as much.
    pub(super) truth: Vec<RequestView>,
    pub(super) jobs: Vec<JobLine>,
    pub(super) attempts: Vec<AttemptLine>,
    pub(super) callbacks: Vec<CallbackLine>,
    /// Tell from a callback URL whose it is.
    pub(super) tokens: TokenKeys,
}

impl Evidence {
    pub(super) async fn gather(stage: &Stage, acknowledged: Vec<JobId>) -> Result<Self> {
        let secret = stage.config.secrets.master.as_ref().context("the stage has a secret")?;
        let tokens = TokenKeys::derive(secret.expose_secret())?;
        let truth = stage.simulator.requests();
        let read = async {
            let jobs = report::jobs(&stage.store).await?;
            let attempts = report::attempts(&stage.store).await?;
            Ok::<_, store::Error>((jobs, attempts, report::callbacks(&stage.store).await?))
        };
        let (jobs, attempts, callbacks) = read.await.context("failed to read what Postgres holds")?;
        Ok(Self { acknowledged, truth, jobs, attempts, callbacks, tokens })
    }
}
