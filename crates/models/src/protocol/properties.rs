//! What must hold, in every state or in every state in which nothing more happens by itself.

use super::{Action, State, Worker, actions};
use crate::{
    fal::Phase,
    setup::{History, Setup},
};
use domain::{AttemptState, JobState, OnUnknown};
use stateright::{Model, Property};

/// The properties by name.
pub mod named {
    pub const ONE_EVENT: &str = "one event per ended job";
    pub const NO_REGRESS: &str = "an ended job never changes";
    pub const NOT_LOST: &str = "a paid result is never lost";
    pub const NOTED: &str = "a paid result is the job's or noted beside it";
    pub const IN_LEDGER: &str = "all spend is in the ledger";
    pub const PAID_ONCE: &str = "no paid run but those the policy allows";
    pub const ONE_POST: &str = "one POST per attempt";
    pub const BOUND_ONCE: &str = "a request id belongs to one attempt";
    pub const CANCEL_WAITS: &str = "a cancel waits for fal";
    pub const WISHED: &str = "no job is canceled that nobody wished to end";
    pub const HOLDER_WRITES: &str = "a stale holder never overwrites";
    pub const ENDS: &str = "every job ends";
    pub const REACHES_SUCCESS: &str = "reached: a job succeeds";
    pub const REACHES_CALLBACK: &str = "reached: a callback resolves an unknown attempt";
    pub const REACHES_HISTORY: &str = "reached: history resolves an unknown attempt";
}

pub(super) fn all(setup: &Setup) -> Vec<Property<Setup>> {
    let mut properties = must_hold();
    properties.extend([
        Property::sometimes(named::REACHES_SUCCESS, |_, state: &State| state.db.job().state == JobState::Succeeded),
        Property::sometimes(named::REACHES_CALLBACK, |_, state: &State| state.found_by.callback),
    ]);
    if setup.history != History::Refused {
        properties.push(Property::sometimes(named::REACHES_HISTORY, |_, state: &State| state.found_by.history));
    }
    properties
}

fn must_hold() -> Vec<Property<Setup>> {
    vec![
        Property::always(named::ONE_EVENT, |_, state: &State| {
            state.db.ends.len() == usize::from(state.db.job().state.is_terminal())
        }),
        Property::always(named::NO_REGRESS, |_, state: &State| {
            state.db.ends.first().is_none_or(|end| *end == state.db.job().state.as_str())
        }),
        Property::always(named::NOT_LOST, |setup, state| is_result_kept(setup, state) || !is_quiet(setup, state)),
        Property::always(named::NOTED, |setup, state| is_all_noted(state) || !is_quiet(setup, state)),
        Property::always(named::IN_LEDGER, |setup, state| is_all_in_ledger(state) || !is_quiet(setup, state)),
        Property::always(named::PAID_ONCE, |setup: &Setup, state: &State| {
            let allowed = 1 + usize::from(setup.on_unknown == OnUnknown::Impatient) + usize::from(state.resubmitted);
            state.runs.iter().filter(|run| run.costs()).count() <= allowed
        }),
        Property::always(named::ONE_POST, |_, state: &State| {
            (0..state.db.rows.len())
                .all(|attempt| state.runs.iter().filter(|run| usize::from(run.by) == attempt).count() <= 1)
        }),
        Property::always(named::BOUND_ONCE, |_, state: &State| {
            let ids = || state.db.attempts().iter().filter_map(|attempt| attempt.request_id.as_ref());
            ids().all(|id| ids().filter(|other| *other == id).count() == 1)
        }),
        Property::always(named::CANCEL_WAITS, |_, state| waits_for_fal(state)),
        Property::always(named::WISHED, |_, state: &State| state.wished || state.db.job().state != JobState::Canceled),
        Property::always(named::HOLDER_WRITES, |_, state: &State| !state.db.overwritten),
        Property::always(named::ENDS, |setup, state| has_ended(setup, state) || !is_quiet(setup, state)),
    ]
}

/// A good run is its job's result. Only a job that somebody wished to end may have ended otherwise, and then the impatient
/// one alone may have had a second run beside the one that fal was asked to stop.
fn is_result_kept(setup: &Setup, state: &State) -> bool {
    let good = state.runs.iter().any(|run| run.phase == Phase::Good && !run.forgotten);
    let let_go = state.wished && setup.on_unknown == OnUnknown::Impatient && state.db.job().state == JobState::Canceled;
    !good || state.db.job().state == JobState::Succeeded || let_go
}

/// Whoever reads the attempts finds every good run, by its request id: its result can be fetched again.
fn is_all_noted(state: &State) -> bool {
    let noted = |run| {
        state.db.holder(run).is_some_and(|attempt| {
            let row = state.db.row(attempt);
            row.superseded_ok || matches!(state.db.attempt(attempt).state, AttemptState::Succeeded { .. })
        })
    };
    state.numbered_runs().all(|(number, run)| run.phase != Phase::Good || run.forgotten || noted(number))
}

fn is_all_in_ledger(state: &State) -> bool {
    let billed = |phase| matches!(phase, Phase::Good | Phase::Bad);
    state.numbered_runs().all(|(number, run)| !billed(run.phase) || state.is_in_ledger(number))
}

/// A canceled job has no open attempt, but the one beside which the impatient opened another.
fn waits_for_fal(state: &State) -> bool {
    let canceled = state.db.job().state == JobState::Canceled;
    let impatient = state.db.job().on_unknown == OnUnknown::Impatient;
    !canceled || state.db.open().count() <= usize::from(impatient)
}

/// The job has ended, and each of its attempts. A job of the operator's may wait for a person's word.
fn has_ended(setup: &Setup, state: &State) -> bool {
    let waits = setup.on_unknown == OnUnknown::Operator && !state.db.job().state.is_terminal();
    let for_a_person = |attempt: &domain::Attempt| waits && attempt.state == AttemptState::Unknown;
    if state.db.attempts().iter().any(for_a_person) {
        return true;
    }
    state.db.job().state.is_terminal() && state.db.open().next().is_none()
}

/// Whether nothing more happens by itself: crashes and wishes apart, all that is left is to look again and find nothing.
fn is_quiet(setup: &Setup, state: &State) -> bool {
    if state.look.is_some() || state.worker != Worker::Idle {
        return false;
    }
    let mut possible = Vec::new();
    actions::all(setup, state, &mut possible);
    possible.into_iter().all(|action| match action {
        Action::Cancel | Action::Says(_) | Action::Crash => true,
        Action::Look(_) => finds_nothing(setup, state, action),
        _ => setup.next_state(state, action).is_none(),
    })
}

fn finds_nothing(setup: &Setup, state: &State, look: Action) -> bool {
    let Some(looking) = setup.next_state(state, look) else {
        return true;
    };
    let Some(read) = &looking.look else {
        return true;
    };
    let mut changes = false;
    actions::findings(setup, &looking, read, |finding| {
        let found = setup.next_state(&looking, Action::Finds(finding));
        changes |= found.is_some_and(|found| found != *state);
    });
    !changes
}
