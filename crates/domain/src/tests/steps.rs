//! What may happen to a job, drawn at random.

use super::world::{AROUND, LASTING, PASSING, a_job, id, request};
use crate::lifecycle::{Recorded, Resolution};
use crate::{AttemptEvent, Charged, ErrorClass, JobEvent, JobState, Lifecycle, OnUnknown, RequestId};
use proptest::prelude::*;

/// What the outside can do to a job and its attempts. An attempt is named by its number, which may not exist.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Claim,
    Attempt(u16, AttemptEvent),
    Job(JobEvent),
    SupersedeUnknown(u16),
    Resolve(Resolution),
}

impl Step {
    pub(super) fn run(&self, lifecycle: &mut Lifecycle) -> Recorded {
        match self {
            Self::Claim => Recorded { job_changed: lifecycle.claim(), ..Recorded::default() },
            Self::Attempt(number, event) => lifecycle.happens(*number, event),
            Self::Job(event) => lifecycle.record_job(event),
            Self::SupersedeUnknown(number) => lifecycle.supersede_unknown(id(*number), &AROUND),
            Self::Resolve(how) => lifecycle.resolve(*how, &AROUND).map(|(_, recorded)| recorded).unwrap_or_default(),
        }
    }

    pub(super) fn is_evidence(&self) -> bool {
        matches!(self, Self::Attempt(_, event) if event.request_id().is_some())
    }

    /// The number of the attempt it is about.
    pub(super) fn number(&self) -> Option<u16> {
        match self {
            Self::Attempt(number, _) | Self::SupersedeUnknown(number) => Some(*number),
            Self::Claim | Self::Job(_) | Self::Resolve(_) => None,
        }
    }
}

fn decision() -> impl Strategy<Value = AttemptEvent> {
    prop_oneof![
        2 => Just(AttemptEvent::NoAnswer),
        1 => Just(AttemptEvent::LeaseExpired),
        2 => Just(AttemptEvent::GivenUp),
        1 => Just(AttemptEvent::NotSent),
        1 => Just(AttemptEvent::PushedBack { class: ErrorClass::RateLimited }),
        1 => Just(AttemptEvent::Refused(PASSING)),
        1 => Just(AttemptEvent::Refused(LASTING)),
    ]
}

fn evidence(said: RequestId) -> impl Strategy<Value = AttemptEvent> {
    prop_oneof![
        3 => Just(AttemptEvent::Bound(said.clone())),
        2 => Just(AttemptEvent::ResultOk(said.clone())),
        3 => Just(AttemptEvent::ResultError(said.clone(), PASSING)),
        1 => Just(AttemptEvent::ResultError(said.clone(), LASTING)),
        1 => Just(AttemptEvent::ResultGone(said.clone())),
        1 => Just(AttemptEvent::CancelConfirmed(said, Charged::Perhaps)),
    ]
}

fn about_an_attempt() -> impl Strategy<Value = Step> {
    // Mostly fal's own name for the attempt, at times another's.
    let said = |number| prop_oneof![9 => Just(request(number)), 1 => Just(request(9))];
    (1u16..=3).prop_flat_map(move |number| {
        let event = prop_oneof![1 => decision(), 1 => said(number).prop_flat_map(evidence)];
        event.prop_map(move |event| Step::Attempt(number, event))
    })
}

fn about_the_job() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(JobEvent::CancelRequested),
        2 => Just(JobEvent::Due { at: AROUND.now }),
        2 => Just(JobEvent::Resumed { at: AROUND.now }),
        1 => Just(JobEvent::HoldRefused(LASTING)),
        1 => Just(JobEvent::UsefulUntilPassed),
    ]
    .prop_map(Step::Job)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Claim),
        8 => about_an_attempt(),
        1 => about_the_job(),
        2 => (1u16..=3).prop_map(Step::SupersedeUnknown),
        1 => prop::sample::select(&Resolution::ALL[..]).prop_map(Step::Resolve),
    ]
}

/// What may become of an attempt before the next one is claimed.
fn first_part(number: u16) -> impl Strategy<Value = Vec<Step>> {
    let steps = move |events: &[AttemptEvent]| -> Vec<Step> {
        let claim = std::iter::once(Step::Claim);
        claim.chain(events.iter().map(|event| Step::Attempt(number, event.clone()))).collect()
    };
    let mut superseded = steps(&[AttemptEvent::NoAnswer]);
    superseded.push(Step::SupersedeUnknown(number));
    prop_oneof![
        2 => Just(superseded),
        1 => Just(steps(&[AttemptEvent::NoAnswer, AttemptEvent::GivenUp])),
        1 => Just(steps(&[AttemptEvent::Bound(request(number))])),
        1 => Just(steps(&[AttemptEvent::ResultError(request(number), PASSING)])),
        1 => Just(steps(&[AttemptEvent::PushedBack { class: ErrorClass::RateLimited }])),
    ]
}

/// Attempts one after the other, as far as chance alone would seldom come.
fn plausible() -> impl Strategy<Value = Vec<Step>> {
    let parts = (first_part(1), first_part(2), first_part(3));
    (parts, 1usize..=3).prop_map(|((one, two, three), count)| [one, two, three][..count].concat())
}

/// A plausible beginning or none, then steps as they fall, or a shorter history told twice and shuffled.
pub(super) fn history() -> impl Strategy<Value = Vec<Step>> {
    let as_they_fall = prop::collection::vec(step(), 0..30);
    let told_twice = prop::collection::vec(step(), 0..12)
        .prop_flat_map(|steps| Just([steps.clone(), steps].concat()).prop_shuffle());
    let begun = (plausible(), prop::collection::vec(step(), 0..15));
    prop_oneof![
        1 => as_they_fall,
        1 => told_twice,
        2 => begun.prop_map(|(beginning, rest)| [beginning, rest].concat()),
    ]
}

pub(super) fn accepted_job() -> impl Strategy<Value = Lifecycle> {
    let state = prop_oneof![
        8 => Just(JobState::Queued { run_at: AROUND.now }),
        1 => Just(JobState::Scheduled { run_at: AROUND.now }),
        1 => Just(JobState::Held),
    ];
    let policy = prop_oneof![Just(OnUnknown::Patient), Just(OnUnknown::Impatient), Just(OnUnknown::Operator)];
    (state, 1u16..=3, policy).prop_map(|(state, attempts_max, policy)| a_job(state, attempts_max, policy))
}

/// Runs a history and hands every step to `check`, with what was before, what is after and what was reported.
pub(super) fn after_each_step(
    mut lifecycle: Lifecycle,
    history: &[Step],
    check: impl Fn(&Step, &Lifecycle, &Lifecycle, &Recorded) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    for step in history {
        let before = lifecycle.clone();
        let recorded = step.run(&mut lifecycle);
        check(step, &before, &lifecycle, &recorded)?;
    }
    Ok(())
}
