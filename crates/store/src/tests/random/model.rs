//! What should be true, kept in memory: what fal did, what was accepted, what each attempt is known to be, what it cost.
//!
//! It borrows `domain`'s words and none of its decisions. Time is in milliseconds from the start of a case; operations come
//! on whole ticks, and nothing falls due within a second of one, so that the time a statement takes decides nothing.

use super::ops::{End, No, Reply, Spec};
use bytes::Bytes;
use domain::{Charged, ErrorClass, Failure, OnUnknown, RequestId, Timeouts};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Seconds between two operations.
pub(super) const TICK: i64 = 5;
pub(super) const TIMEOUTS: Timeouts = Timeouts {
    submit: Duration::from_secs(70),
    lease: Duration::from_secs(92),
    start: Duration::from_secs(602),
    run: Duration::from_hours(1),
    abandon_after: Duration::from_secs(10_802),
    history_after: Duration::from_secs(32),
};
/// Every attempt draws this, so that the model knows how long a back-off is: 31.7 s, doubled up to 158.5 s.
pub(super) const DICE: f64 = 31.7 / 60.0;
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(32);
pub(super) const KEY_LIFE: i64 = 48 * 3_600_000;
pub(super) const UNIQUE_FOR: Duration = Duration::from_secs(97);

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) now: i64,
    pub(super) jobs: BTreeMap<No, Job>,
    pub(super) attempts: BTreeMap<No, Attempt>,
    pub(super) callbacks: BTreeMap<No, Call>,
    pub(super) minted: Minted,
    /// Attempts have numbers below this one.
    pub(super) attempts_made: No,
    /// Batches that were handed in, by their first number.
    pub(super) batches: BTreeMap<No, Batch>,
    pub(super) keys: BTreeMap<u8, HeldKey>,
    pub(super) uniques: BTreeMap<u8, (No, i64)>,
    /// Which attempt holds a request id, and since when.
    pub(super) bound: BTreeMap<String, (No, i64)>,
    /// Whose callbacks count: ours, or those of another account.
    pub(super) pinned: Option<bool>,
    pub(super) seen: (bool, i32),
    /// Looks that a reconciler has taken and not answered.
    pub(super) held: BTreeMap<No, Held>,
    /// Runs outlive what we know of them.
    pub(super) runs: BTreeMap<No, Option<End>>,
    /// How often what came to pass that is worth reaching.
    pub(super) corners: BTreeMap<&'static str, usize>,
}

/// The next number of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Minted {
    pub(super) jobs: No,
    pub(super) attempts: No,
    pub(super) callbacks: No,
}

#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) specs: Vec<Spec>,
    pub(super) at: i64,
}

#[derive(Clone, Debug)]
pub(super) struct HeldKey {
    pub(super) body: u8,
    pub(super) job: No,
    pub(super) expires: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) state: &'static str,
    pub(super) version: i32,
    pub(super) run_at: i64,
    pub(super) claim_key: i64,
    pub(super) useful_until: Option<i64>,
    pub(super) on_unknown: OnUnknown,
    pub(super) opened: u16,
    pub(super) made: u16,
    pub(super) max: u16,
    pub(super) cancel_armed: bool,
    pub(super) winner: Option<No>,
    pub(super) failure: Option<Failure>,
    pub(super) refetched_as: Option<No>,
}

#[expect(clippy::struct_excessive_bools, reason = "a row of a table, whose columns they are")]
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) job: No,
    pub(super) number: u16,
    pub(super) state: &'static str,
    pub(super) version: i32,
    pub(super) counted: bool,
    pub(super) superseded: bool,
    pub(super) late_ok: bool,
    pub(super) request_id: Option<String>,
    pub(super) bound_by: Option<&'static str>,
    pub(super) candidate: Option<String>,
    pub(super) cancel_wanted: bool,
    pub(super) failure: Option<Failure>,
    pub(super) claimed_at: i64,
    pub(super) result: Option<(&'static str, Bytes)>,
    pub(super) lines: BTreeSet<&'static str>,
    pub(super) reply: Option<Reply>,
    /// A person had the job sent again beside it.
    pub(super) resubmitted: bool,
    /// It was told of what is not its own: then its own run may be lost to us, and no rule is broken.
    pub(super) misled: bool,
}

/// A callback as fal sent it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) attempt: No,
    pub(super) request_id: RequestId,
    pub(super) ours: bool,
    pub(super) signed_at: i64,
    pub(super) said: crate::settle::Said,
    pub(super) body: Bytes,
    pub(super) disposition: (&'static str, Option<&'static str>),
}

/// An attempt as a reconciler read it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) at: i64,
    pub(super) version: i32,
    pub(super) stage: Stage,
    pub(super) cancel_wanted: bool,
    pub(super) superseded: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stage {
    LeaseRanOut,
    Unknown(Option<String>),
    Submitted(String),
}

pub(super) fn is_open(state: &str) -> bool {
    ["submitting", "unknown", "submitted"].contains(&state)
}

pub(super) fn has_ended(job: &Job) -> bool {
    ["succeeded", "failed", "canceled"].contains(&job.state)
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}

/// fal's name for the run that an attempt's POST began.
pub(super) fn name_of(run: No) -> String {
    format!("run-{run}")
}

impl Model {
    pub(super) fn reached(&mut self, corner: &'static str) {
        *self.corners.entry(corner).or_default() += 1;
    }

    /// How a named run stands at fal: nothing where there is none, and nothing inside while it runs.
    pub(super) fn run_of(&self, name: &str) -> Option<(No, Option<End>)> {
        self.runs.iter().find(|(no, _)| name_of(**no) == name).map(|(no, end)| (*no, *end))
    }

    /// What the store is to show of all this.
    pub(super) fn facts(&self) -> BTreeMap<String, String> {
        let jobs = self.jobs.iter().map(|(no, job)| (format!("job {no}"), job.line()));
        let attempts = self.attempts.iter().map(|(no, attempt)| (format!("attempt {no}"), attempt.line()));
        let calls = self.callbacks.iter().map(|(no, call)| {
            let (disposition, cause) = call.disposition;
            (format!("callback {no}"), format!("{disposition} {}", cause.unwrap_or("-")))
        });
        let bound = self.bound.iter().map(|(name, (holder, _))| (format!("request {name}"), holder.to_string()));
        jobs.chain(attempts).chain(calls).chain(bound).collect()
    }
}

impl Job {
    fn line(&self) -> String {
        let Self { state, version, made, opened, max, cancel_armed, .. } = self;
        let winner = self.winner.map_or("-".to_owned(), |no| no.to_string());
        let (class, charged) = words(self.failure);
        let told = if has_ended(self) { format!("job.{state}") } else { "-".to_owned() };
        format!(
            "{state} v{version} {made}/{opened}/{max} armed={cancel_armed} winner={winner} {class} {charged} told={told}"
        )
    }
}

impl Attempt {
    fn line(&self) -> String {
        let Self { job, number, state, version, counted, superseded, late_ok, cancel_wanted, .. } = self;
        let or = |word: &Option<String>| word.clone().unwrap_or("-".to_owned());
        let (class, charged) = words(self.failure);
        let lines: Vec<&str> = self.lines.iter().copied().collect();
        let lines = if lines.is_empty() { "-".to_owned() } else { lines.join(",") };
        format!(
            "of {job}.{number} {state} v{version} counted={counted} superseded={superseded} late={late_ok} id={} by={} \
             candidate={} cancel={cancel_wanted} {class} {charged} paid={lines} from={} result={:?}",
            or(&self.request_id),
            self.bound_by.unwrap_or("-"),
            or(&self.candidate),
            self.result.as_ref().map_or("-", |(from, _)| from),
            self.result.as_ref().map(|(_, body)| body),
        )
    }
}

fn words(failure: Option<Failure>) -> (&'static str, &'static str) {
    failure.map_or(("-", "-"), |failure| {
        let charged = match failure.charged {
            Charged::No => "no",
            Charged::Perhaps => "perhaps",
            Charged::Yes => "yes",
        };
        (failure.class.as_str(), charged)
    })
}

/// Whether another attempt may follow, by design.md's list of error classes.
pub(super) fn passes(class: ErrorClass) -> bool {
    use ErrorClass::{
        Abandoned, Credential, Infrastructure, Internal, ModelError, NotSent, RateLimited, TimeoutRun, TimeoutStart,
    };
    [NotSent, RateLimited, Credential, ModelError, TimeoutStart, TimeoutRun, Infrastructure, Abandoned, Internal]
        .contains(&class)
}
