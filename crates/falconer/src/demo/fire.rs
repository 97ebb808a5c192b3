//! Fires the jobs, as any backend would: over HTTP, with an API key and an idempotency key, several at a time.

use super::{stage::Stage, work::Work};
use anyhow::{Context, Result, bail};
use domain::JobId;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// POSTs under way at once.
const AT_ONCE: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(30);

/// How far the firing is, for who watches.
#[derive(Debug, Default)]
pub(super) struct Fired {
    acknowledged: AtomicU32,
    failed: AtomicBool,
}

impl Fired {
    /// Jobs that were answered with 202.
    pub(super) fn acknowledged(&self) -> u32 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Whether the firing has ended before its time.
    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// What the caller was told.
#[derive(Debug)]
pub(super) struct Firing {
    pub(super) acknowledged: Vec<JobId>,
    pub(super) took: Duration,
}

#[derive(Deserialize)]
struct Answer {
    id: JobId,
}

/// Fires every job, and returns what was acknowledged. A job that is not acknowledged fails the whole.
pub(super) async fn all(stage: &Stage, work: Vec<Work>, fired: &Fired) -> Result<Firing> {
    let began = Instant::now();
    let acknowledged = stream::iter(work)
        .map(|work| async move {
            let number = work.number;
            let job = one(stage, work).await.with_context(|| format!("job {number} was not acknowledged"))?;
            fired.acknowledged.fetch_add(1, Ordering::Relaxed);
            anyhow::Ok(job)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await;
    fired.failed.store(acknowledged.is_err(), Ordering::Relaxed);
    Ok(Firing { acknowledged: acknowledged?, took: began.elapsed() })
}

async fn one(stage: &Stage, work: Work) -> Result<JobId> {
    let response = stage
        .http
        .post(format!("{}/v1/jobs", stage.api()))
        .bearer_auth(stage.key.expose())
        .header("idempotency-key", format!("demo-{}", work.number))
        .timeout(TIMEOUT)
        .json(&work.body)
        .send()
        .await?;
    let status = response.status();
    if status != 202 {
        let text = response.text().await.unwrap_or_default();
        bail!("the API answered {status}: {text}");
    }
    Ok(response.json::<Answer>().await?.id)
}
