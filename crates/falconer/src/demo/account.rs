//! The numbers of the summary: each counted from what a witness said, none assumed.

use super::evidence::Evidence;
use chrono::TimeDelta;
use domain::JobId;
use rust_decimal::Decimal;
use simulator::{Fault, RequestView, TryView};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};
use store::report::{AttemptLine, ToldBy};

/// Where every job went.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Account {
    pub(super) fired: usize,
    pub(super) by_callback: usize,
    pub(super) by_look: usize,
    /// Over without a word of fal about a run.
    pub(super) by_nobody: usize,
    /// Acknowledged, and not there or not over.
    pub(super) lost: usize,
    pub(super) succeeded: usize,
    /// Failed jobs by error class.
    pub(super) failed: BTreeMap<String, usize>,
    /// How long after fal's end the jobs whose callback did not come were found, shortest first. Without those that were
    /// unknown once, which wait for fal's history.
    pub(super) late: Vec<Duration>,
    pub(super) doubts: Vec<Doubt>,
    /// POSTs that fal took and cut.
    pub(super) cut: usize,
    pub(super) tries: usize,
    pub(super) tries_lost: usize,
    /// Runs of which fal lost every try, by its own plan.
    pub(super) silent: usize,
    /// Callbacks that said what was recorded already.
    pub(super) repeats: usize,
    /// Copies that fal sent beside an original.
    pub(super) copies: usize,
    pub(super) paid: usize,
    pub(super) cost: Decimal,
}

/// An attempt of which nobody knew for a while whether fal had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) job: JobId,
    pub(super) resolved: Resolved,
    /// How long it lasted.
    pub(super) lasted: Option<Duration>,
}

/// What ended a doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resolved {
    Callback,
    /// A callback named the run before fal's user id was known to us, so fal was asked to confirm it.
    CallbackConfirmed,
    History,
    /// Given up, or ended by something else.
    Otherwise,
    Open,
}

impl Resolved {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::CallbackConfirmed => "callback confirmed by fal",
            Self::History => "fal's history",
            Self::Otherwise => "something else",
            Self::Open => "nothing: still open",
        }
    }
}

impl Account {
    pub(super) fn of(evidence: &Evidence) -> Self {
        let jobs = &evidence.jobs;
        let over = || jobs.iter().filter(|job| job.finished_at.is_some());
        let told_by = |who: ToldBy| over().filter(|job| job.told_by == who).count();
        let over_ids: HashSet<JobId> = over().map(|job| job.id).collect();
        let mut failed = BTreeMap::new();
        for class in jobs.iter().filter_map(|job| job.error_class.clone()) {
            *failed.entry(class).or_default() += 1;
        }
        let tries = || evidence.truth.iter().flat_map(|request| &request.webhook_tries);
        let named = |tried: &&TryView, name: &str| tried.fault.as_deref() == Some(name);
        let chosen = |fault: Fault| evidence.truth.iter().filter(|request| request.faults.contains(&fault)).count();
        let paid = evidence.truth.iter().filter_map(|request| request.cost);
        let repeats = evidence.callbacks.iter().filter(|line| line.disposition == "duplicate");
        Self {
            fired: evidence.acknowledged.len(),
            by_callback: told_by(ToldBy::Callback),
            by_look: told_by(ToldBy::Look),
            by_nobody: told_by(ToldBy::Nobody),
            lost: evidence.acknowledged.iter().filter(|id| !over_ids.contains(id)).count(),
            succeeded: jobs.iter().filter(|job| job.state == "succeeded").count(),
            failed,
            late: late(evidence),
            doubts: evidence.attempts.iter().filter_map(Doubt::of).collect(),
            cut: chosen(Fault::AcceptThenReset),
            tries: tries().count(),
            tries_lost: tries().filter(|tried| named(tried, "lost")).count(),
            silent: chosen(Fault::CallbackAllLost),
            repeats: usize::try_from(repeats.map(|line| line.calls).sum::<i64>()).unwrap_or_default(),
            copies: tries().filter(|tried| named(tried, "duplicate") && tried.delivered()).count(),
            paid: paid.clone().count(),
            cost: paid.sum(),
        }
    }

    /// How many doubts ended in each way.
    pub(super) fn resolved(&self) -> BTreeMap<Resolved, usize> {
        let mut resolved = BTreeMap::new();
        for doubt in &self.doubts {
            *resolved.entry(doubt.resolved).or_default() += 1;
        }
        resolved
    }
}

impl Doubt {
    fn of(attempt: &AttemptLine) -> Option<Self> {
        let since = attempt.unknown_at?;
        let resolved = match (attempt.known_at, attempt.bound_by.as_deref()) {
            (None, _) => Resolved::Open,
            (Some(_), Some("callback")) => Resolved::Callback,
            (Some(_), Some("history")) if attempt.kept_callback => Resolved::CallbackConfirmed,
            (Some(_), Some("history")) => Resolved::History,
            (Some(_), _) => Resolved::Otherwise,
        };
        Some(Self {
            job: attempt.job,
            resolved,
            lasted: attempt.known_at.and_then(|known| (known - since).to_std().ok()),
        })
    }
}

fn late(evidence: &Evidence) -> Vec<Duration> {
    let requests: HashMap<&str, &RequestView> =
        evidence.truth.iter().map(|request| (request.request_id.as_str(), request)).collect();
    let doubted: HashSet<JobId> =
        evidence.attempts.iter().filter(|attempt| attempt.unknown_at.is_some()).map(|attempt| attempt.job).collect();
    let looked = evidence.jobs.iter().filter(|job| job.told_by == ToldBy::Look && !doubted.contains(&job.id));
    let mut late: Vec<Duration> = looked
        .filter_map(|job| {
            let done = requests.get(job.request_id.as_deref()?)?.completed_at?;
            // Both clocks are this machine's, but one may be a hair ahead of the other.
            Some((job.finished_at? - done).max(TimeDelta::zero()).to_std().unwrap_or_default())
        })
        .collect();
    late.sort_unstable();
    late
}

/// The smallest of the sorted values that at least `percent` of a hundred do not exceed.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}
