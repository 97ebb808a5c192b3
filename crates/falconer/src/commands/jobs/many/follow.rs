//! Waits for many jobs at once, and takes their results home.

use super::{
    progress::Bar,
    report::{Accepted, Counts, Report},
};
use crate::commands::{
    client::{Call, Client, read},
    jobs::{view::Job, wait},
};
use anyhow::{Context, Result};
use futures::{StreamExt as _, stream};
use serde_json::value::RawValue;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Jobs that are asked for at once.
const AT_ONCE: usize = 16;

/// How to wait.
pub(super) struct Following<'a> {
    pub(super) client: &'a Client,
    pub(super) timeout: Option<Duration>,
    /// Where results go, one file for each job.
    pub(super) out: Option<&'a PathBuf>,
}

impl Following<'_> {
    /// Waits until every job has ended or the time is up, and prints each as it stands then.
    pub(super) async fn run(&self, jobs: Vec<Accepted>, report: &mut Report, counts: &mut Counts) -> Result<()> {
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        let bar = Bar::waiting(jobs.len() as u64);
        let mut ended = stream::iter(jobs).map(|job| self.one(job, deadline)).buffer_unordered(AT_ONCE);
        while let Some(ended) = ended.next().await {
            let (accepted, body) = ended?;
            let job: Job = read(body.get().as_bytes())?;
            match (job.has_ended(), job.has_succeeded()) {
                (true, true) => counts.succeeded += 1,
                (true, false) => counts.failed += 1,
                (false, _) => counts.open += 1,
            }
            bar.aside(|| report.job(accepted.index, &accepted.place, &body))?;
            bar.waited(*counts);
        }
        bar.end();
        Ok(())
    }

    async fn one(&self, accepted: Accepted, deadline: Option<Instant>) -> Result<(Accepted, Box<RawValue>)> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let body = wait::until_end(self.client, &accepted.id, left, true).await?;
        let job: Box<RawValue> = read(&body)?;
        if let Some(out) = self.out
            && read::<Job>(&body)?.has_succeeded()
        {
            self.take_home(&accepted.id, out).await?;
        }
        Ok((accepted, job))
    }

    /// Writes a result beside its name and then under it, so that no file is there that is not whole.
    async fn take_home(&self, id: &str, out: &Path) -> Result<()> {
        let result = self.client.send_patiently(&Call::get(format!("/v1/jobs/{id}/result"))).await?;
        let (path, part) = (out.join(format!("{id}.json")), out.join(format!(".{id}.part")));
        let failed = || format!("failed to write {}", path.display());
        tokio::fs::write(&part, &result).await.with_context(failed)?;
        tokio::fs::rename(&part, &path).await.with_context(failed)
    }
}
