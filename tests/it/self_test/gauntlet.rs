//! What the parts have in common: a world with a bug in it, and findings where a story would panic.

use failpoints::Bug;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use testkit::{Finding, JobId, World, WorldBuilder, wait};

/// The account has no more runs at fal than it has slots.
pub(super) const SLOTS: &str = "fal: slots";
/// Equal idempotency keys lead to one job.
pub(super) const ONE_JOB: &str = "client: one job";
/// Another project's job is as good as none.
pub(super) const TENANCY: &str = "client: 404";
/// A callback that fal did not sign for us is refused.
pub(super) const REFUSED: &str = "fal: 401";
/// Nothing follows where fal redirects.
pub(super) const REDIRECTS: &str = "fal: redirects";

/// Longer than anything takes here, and much shorter than what a bug holds up for good.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// A world that may have a bug in it, and what was found so far.
pub(super) struct Gauntlet {
    pub(super) world: World,
    findings: Vec<Finding>,
}

/// A world whose servers have this bug.
pub(super) fn builder(bug: Option<Bug>) -> WorldBuilder {
    let builder = World::builder();
    bug.into_iter().fold(builder, |builder, bug| builder.setting(failpoints::BUG_VARIABLE, bug.name()))
}

impl Gauntlet {
    pub(super) async fn start(builder: WorldBuilder) -> Self {
        Self { world: builder.start().await, findings: Vec::new() }
    }

    /// Notes what was expected and is not so.
    pub(super) fn expect(&mut self, check: &str, holds: bool, detail: impl Into<String>) {
        if !holds {
            self.findings.push(Finding { check: check.to_owned(), detail: detail.into() });
        }
    }

    pub(super) fn note(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// Waits for a number of rows; whether they came. Without them the story goes on, and the checks say what is wrong.
    pub(super) async fn rows(&self, wanted: impl Fn(i64) -> bool, query: &'static str) -> bool {
        wait::whether(PATIENCE, async || {
            let rows: i64 = sqlx::query_scalar(query).fetch_one(self.world.db()).await.expect("the database answers");
            wanted(rows)
        })
        .await
    }

    /// Waits until fal has given a job's attempt a name.
    pub(super) async fn bound(&self, job: JobId) -> bool {
        wait::whether(PATIENCE, async || self.world.job(job).await["request_id"].is_string()).await
    }

    /// Submits jobs by their prompts, each with a single attempt.
    pub(super) async fn submit(&self, prompts: &[&str]) -> BTreeMap<String, JobId> {
        let mut ids = BTreeMap::new();
        for prompt in prompts {
            ids.insert((*prompt).to_owned(), self.world.submit(single(prompt)).await);
        }
        ids
    }

    /// Waits for the jobs to end, if they do, and returns all that was found.
    pub(super) async fn drained(self) -> Vec<Finding> {
        self.drained_within(PATIENCE).await
    }

    /// As [`Self::drained`], with a patience of its own.
    pub(super) async fn drained_within(mut self, patience: Duration) -> Vec<Finding> {
        let found = self.world.findings_after_drain(patience).await;
        self.note(found);
        self.findings
    }

    /// Returns all that was found, with work left on purpose.
    pub(super) async fn undrained(mut self) -> Vec<Finding> {
        let found = self.world.findings().await;
        self.note(found);
        self.findings
    }
}

fn single(prompt: &str) -> Value {
    json!({ "input": { "prompt": prompt }, "max_attempts": 1 })
}
