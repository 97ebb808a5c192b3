//! What may happen next.

use super::{Action, Call, Finding, Look, Posted, Stage, State, Word, Worker};
use crate::{
    fal::{Ending, Phase, Run},
    setup::{Broken, History, Setup},
};
use domain::{Attempt, AttemptState, JobState, OnUnknown};

pub(super) fn all(setup: &Setup, state: &State, actions: &mut Vec<Action>) {
    submitter(setup, state, actions);
    for (number, run) in state.numbered_runs() {
        fal(setup, state, number, run, actions);
    }
    for attempt in state.db.open() {
        if state.db.is_submitting(attempt) && !state.db.row(attempt).lease_over {
            if state.left.pauses > 0 || !state.holds(attempt) {
                actions.push(Action::LeaseEnds(attempt));
            }
        } else if state.look.is_none() {
            actions.push(Action::Look(attempt));
        }
    }
    if let Some(look) = &state.look {
        findings(setup, state, look, |finding| actions.push(Action::Finds(finding)));
    }
    if state.left.cancels > 0 && !state.db.job().state.is_terminal() {
        actions.push(Action::Cancel);
    }
    let is_unknown = |attempt: &Attempt| attempt.state == AttemptState::Unknown;
    if state.left.words > 0 && state.db.attempts().iter().any(is_unknown) {
        actions.extend([Action::Says(Word::Resubmit), Action::Says(Word::GiveUp)]);
    }
    if state.left.crashes > 0 && (state.worker != Worker::Idle || state.look.is_some()) {
        actions.push(Action::Crash);
    }
}

fn submitter(setup: &Setup, state: &State, actions: &mut Vec<Action>) {
    match &state.worker {
        Worker::Idle => {
            let queued = matches!(state.db.job().state, JobState::Queued { .. });
            if queued && state.db.rows.len() < usize::from(setup.attempts + setup.limits.not_sent + setup.limits.pauses)
            {
                actions.push(Action::Claim);
            }
        }
        Worker::Holds { attempt, .. } => {
            if state.db.row(*attempt).lease_over && !setup.is(Broken::SendsWithoutDeadline) {
                actions.push(Action::Post(Posted::NotSent));
                return;
            }
            if state.left.not_sent > 0 {
                actions.extend([Action::Post(Posted::NotSent), Action::Post(Posted::PushedBack)]);
            }
            let sent = [Posted::Accepted, Posted::AnswerLost, Posted::Slow, Posted::Vanished];
            actions.extend(sent.map(Action::Post));
        }
        Worker::Tells(_) => {
            actions.push(Action::Record);
            if state.left.doubts > 0 {
                actions.push(Action::RecordInDoubt);
            }
        }
    }
}

fn fal(setup: &Setup, state: &State, number: u8, run: &Run, actions: &mut Vec<Action>) {
    match run.phase {
        Phase::Flying => actions.push(Action::Arrives(number)),
        Phase::InQueue => actions.push(Action::Begins(number)),
        Phase::Running => {
            actions.push(Action::Ends(number, Ending::Good));
            if state.left.errors > 0 {
                actions.push(Action::Ends(number, Ending::Bad));
            }
            if run.cancel_asked {
                actions.push(Action::Ends(number, Ending::Canceled));
            }
        }
        Phase::Good | Phase::Bad | Phase::Canceled => {}
    }
    if run.calls > 0 {
        actions.extend([Call::Taken, Call::TakenUnheard].map(|call| Action::Called(number, call)));
        if state.left.losses > 0 {
            actions.push(Action::Called(number, Call::Lost));
        }
        if state.left.stale > 0 {
            actions.push(Action::Called(number, Call::TooOld));
        }
    }
    if !run.listed && run.phase != Phase::Flying && setup.history != History::Refused {
        actions.push(Action::Listed(number));
    }
    if run.phase == Phase::Good && !run.forgotten && state.left.forgotten > 0 {
        actions.push(Action::Forgets(number));
    }
    let costs = matches!(run.phase, Phase::Good | Phase::Bad);
    let told_all = run.calls == 0 && state.db.attempt(run.by).state.is_terminal();
    if setup.audit && costs && told_all && !state.is_in_ledger(number) {
        actions.push(Action::Audit(number));
    }
}

/// What the look may come to, by what fal says at this moment.
pub(super) fn findings(setup: &Setup, state: &State, look: &Look, mut add: impl FnMut(Finding)) {
    match look.stage {
        Stage::LeaseRanOut => add(Finding::LeaseRanOut),
        Stage::Submitted { .. } => add(Finding::Polled),
        Stage::Unknown if state.db.row(look.attempt).candidate.is_some() => add(Finding::Candidate),
        Stage::Unknown => {
            let listed = listed(setup, state, look.attempt);
            for run in &listed {
                add(Finding::InHistory(*run));
            }
            let silent = setup.history == History::Silent;
            if !(listed.is_empty() || silent) {
                return;
            }
            add(Finding::Nothing);
            if setup.on_unknown == OnUnknown::Impatient && !look.superseded {
                add(Finding::Superseded);
            }
            let answered = listed.is_empty() || setup.is(Broken::SilenceIsAbsence);
            if answered && (is_over(setup, state, look.attempt) || setup.is(Broken::GivesUpEarly)) {
                add(Finding::GivenUp);
            }
        }
    }
}

/// Runs in fal's history that may be this attempt's: of equal inputs, any that nobody holds.
fn listed(setup: &Setup, state: &State, attempt: u8) -> Vec<u8> {
    if setup.history == History::Refused {
        return Vec::new();
    }
    let fits = |run: &Run| run.listed && (run.by == attempt || !setup.seeded);
    state
        .numbered_runs()
        .filter(|(number, run)| fits(run) && state.db.holder(*number).is_none())
        .map(|(number, _)| number)
        .collect()
}

/// Whether `abandon_after` may have passed: it is longer than a run can take to begin and to end, than fal goes on
/// calling, and than its history lags. Older attempts are over by then too.
fn is_over(setup: &Setup, state: &State, attempt: u8) -> bool {
    let as_old = |run: &&Run| run.by <= attempt;
    state
        .runs
        .iter()
        .filter(as_old)
        .all(|run| !run.is_live() && run.calls == 0 && (run.listed || setup.history == History::Refused))
}
