//! Every edge of the two state machines as data, found by asking [`Attempt::apply`] and [`JobState::apply`].
//!
//! The page of states, the check of the transition log and the reviewer's table all come from here, so none of them can
//! say anything that the code does not do. Where jobs and attempts begin is the one thing that no `apply` decides.

use crate::{
    Adoption, Attempt, AttemptEvent, AttemptId, AttemptState, AttemptTransition, Charged, ErrorClass, Failure,
    JobEvent, JobState, JobTransition, RequestId,
};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use std::iter::successors;
use uuid::Uuid;

/// Where a thing comes from that was not there before: the first half of an entry pair.
pub const ENTRY: &str = "";

/// One move from a state to another. All names are those of `as_str` and `name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    pub from: &'static str,
    pub event: &'static str,
    pub to: &'static str,
    /// Whether the move needs an open job. Only the adoption of a late result does.
    pub needs_open_job: bool,
}

/// Returns every move of an attempt, in the order of the states and then of the events.
pub fn attempt_edges() -> Vec<Edge> {
    let mut edges = Vec::new();
    for state in attempt_states() {
        let attempt = attempt_in(state);
        for event in attempt_events() {
            let (to, needs_open_job) = match attempt.apply(&event, true) {
                AttemptTransition::To(next) => (next, false),
                AttemptTransition::Adopted(next) => (next, true),
                AttemptTransition::Unchanged | AttemptTransition::SupersededOk | AttemptTransition::Conflict => {
                    continue;
                }
            };
            let from = attempt.state.as_str();
            edges.push(Edge { from, event: event.name(), to: to.as_str(), needs_open_job });
        }
    }
    edges
}

/// Returns every move of a job, in the order of the states and then of the events.
pub fn job_edges() -> Vec<Edge> {
    let mut edges = Vec::new();
    for state in job_states() {
        for event in job_events() {
            if let JobTransition::To(next) = state.apply(&event) {
                let (from, to) = (state.as_str(), next.as_str());
                edges.push(Edge { from, event: event.name(), to, needs_open_job: false });
            }
        }
    }
    edges
}

/// Returns the states in which a job may be accepted: at once, for later, held back, or already under way since somebody
/// else sends it.
pub fn job_entries() -> [&'static str; 4] {
    let queued = JobState::Queued { run_at: SOME_TIME };
    [queued, JobState::Scheduled { run_at: SOME_TIME }, JobState::Held, Adoption::Minted.job()]
        .map(|state| state.as_str())
}

/// Returns the state in which a claim commits an attempt, and those in which one begins that somebody else sends.
pub fn attempt_entries() -> [&'static str; 3] {
    let [minted, adopted] = adoptions().map(|adoption| adoption.attempt());
    [AttemptState::Submitting, minted, adopted].map(|state| state.as_str())
}

/// Returns every way in which somebody else's request comes to us.
pub fn adoptions() -> [Adoption; 2] {
    [Adoption::Minted, Adoption::Adopted { request_id: some_request() }]
}

/// Returns every pair of states that a job may move between, entries as `(ENTRY, state)`.
///
/// A change that keeps the state is no move: an open job may be armed for its cancel.
pub fn allowed_job_pairs() -> BTreeSet<(&'static str, &'static str)> {
    pairs(&job_edges(), &job_entries())
}

/// Returns every pair of states that an attempt may move between, entries as `(ENTRY, state)`.
///
/// A change that keeps the state is no move: an open attempt may be superseded, and one that ended without a request id
/// may learn it.
pub fn allowed_attempt_pairs() -> BTreeSet<(&'static str, &'static str)> {
    pairs(&attempt_edges(), &attempt_entries())
}

fn pairs(edges: &[Edge], entries: &[&'static str]) -> BTreeSet<(&'static str, &'static str)> {
    let moves = edges.iter().map(|edge| (edge.from, edge.to));
    moves.chain(entries.iter().map(|entry| (ENTRY, *entry))).collect()
}

const SOME_TIME: DateTime<Utc> = DateTime::UNIX_EPOCH;
const SOME_FAILURE: Failure = Failure { class: ErrorClass::ModelError, charged: Charged::Perhaps };

pub(crate) fn some_request() -> RequestId {
    RequestId("r-1".to_owned())
}

/// An attempt in `state`, bound where the state says so.
pub(crate) fn attempt_in(state: AttemptState) -> Attempt {
    let request_id = match &state {
        AttemptState::Submitted { request_id } | AttemptState::Succeeded { request_id } => Some(request_id.clone()),
        AttemptState::Submitting
        | AttemptState::Unknown
        | AttemptState::Failed(_)
        | AttemptState::Canceled { .. }
        | AttemptState::Abandoned
        | AttemptState::Expired => None,
    };
    let id = AttemptId(Uuid::from_u128(1));
    Attempt { id, number: 1, state, counted: true, superseded: false, request_id, version: 1 }
}

// Each of the four walks below visits every variant once. Written as successors, so that a new variant does not compile
// until somebody says where it stands.

pub(crate) fn attempt_states() -> impl Iterator<Item = AttemptState> {
    successors(Some(AttemptState::Submitting), |state| match state {
        AttemptState::Submitting => Some(AttemptState::Unknown),
        AttemptState::Unknown => Some(AttemptState::Submitted { request_id: some_request() }),
        AttemptState::Submitted { .. } => Some(AttemptState::Succeeded { request_id: some_request() }),
        AttemptState::Succeeded { .. } => Some(AttemptState::Failed(SOME_FAILURE)),
        AttemptState::Failed(_) => Some(AttemptState::Canceled { charged: Charged::Perhaps }),
        AttemptState::Canceled { .. } => Some(AttemptState::Abandoned),
        AttemptState::Abandoned => Some(AttemptState::Expired),
        AttemptState::Expired => None,
    })
}

pub(crate) fn attempt_events() -> impl Iterator<Item = AttemptEvent> {
    let refused = Failure { class: ErrorClass::Validation, charged: Charged::No };
    successors(Some(AttemptEvent::NotSent), move |event| match event {
        AttemptEvent::NotSent => Some(AttemptEvent::Refused(refused)),
        AttemptEvent::Refused(_) => Some(AttemptEvent::PushedBack { class: ErrorClass::RateLimited }),
        AttemptEvent::PushedBack { .. } => Some(AttemptEvent::NoAnswer),
        AttemptEvent::NoAnswer => Some(AttemptEvent::LeaseExpired),
        AttemptEvent::LeaseExpired => Some(AttemptEvent::GivenUp),
        AttemptEvent::GivenUp => Some(AttemptEvent::Bound(some_request())),
        AttemptEvent::Bound(_) => Some(AttemptEvent::ResultOk(some_request())),
        AttemptEvent::ResultOk(_) => Some(AttemptEvent::ResultError(some_request(), SOME_FAILURE)),
        AttemptEvent::ResultError(..) => Some(AttemptEvent::ResultGone(some_request())),
        AttemptEvent::ResultGone(_) => Some(AttemptEvent::CancelConfirmed(some_request(), Charged::Perhaps)),
        AttemptEvent::CancelConfirmed(..) => None,
    })
}

pub(crate) fn job_states() -> impl Iterator<Item = JobState> {
    successors(Some(JobState::Scheduled { run_at: SOME_TIME }), |state| match state {
        JobState::Scheduled { .. } => Some(JobState::Held),
        JobState::Held => Some(JobState::Queued { run_at: SOME_TIME }),
        JobState::Queued { .. } => Some(JobState::Running),
        JobState::Running => Some(JobState::Succeeded),
        JobState::Succeeded => Some(JobState::Failed(SOME_FAILURE)),
        JobState::Failed(_) => Some(JobState::Canceled),
        JobState::Canceled => None,
    })
}

pub(crate) fn job_events() -> impl Iterator<Item = JobEvent> {
    successors(Some(JobEvent::Due { at: SOME_TIME }), |event| match event {
        JobEvent::Due { .. } => Some(JobEvent::Resumed { at: SOME_TIME }),
        JobEvent::Resumed { .. } => Some(JobEvent::HoldRefused(SOME_FAILURE)),
        JobEvent::HoldRefused(_) => Some(JobEvent::Claimed),
        JobEvent::Claimed => Some(JobEvent::AttemptSucceeded),
        JobEvent::AttemptSucceeded => Some(JobEvent::RetryAt { at: SOME_TIME }),
        JobEvent::RetryAt { .. } => Some(JobEvent::AttemptsEnded(SOME_FAILURE)),
        JobEvent::AttemptsEnded(_) => Some(JobEvent::CancelRequested),
        JobEvent::CancelRequested => Some(JobEvent::CancelConfirmed),
        JobEvent::CancelConfirmed => Some(JobEvent::UsefulUntilPassed),
        JobEvent::UsefulUntilPassed => None,
    })
}
