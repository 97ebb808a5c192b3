//! What may happen next.

use super::{Action, Answer, Leases, Sent, State, Task};
use crate::{fal::Phase, setup::Broken};
use domain::{AttemptState, JobState};

pub(super) fn all(setup: &Leases, state: &State, actions: &mut Vec<Action>) {
    for (number, task) in (0u8..).zip(&state.processes) {
        process(setup, state, number, task, actions);
        if state.crashes_left > 0 && *task != Task::Idle {
            actions.push(Action::Crashes(number));
        }
    }
    for attempt in state.db.open() {
        let in_time = state.db.is_submitting(attempt) && !state.db.row(attempt).lease_over;
        if in_time && (state.pauses_left > 0 || !state.is_held(attempt)) {
            actions.push(Action::LeaseEnds(attempt));
        }
    }
    for (number, run) in (0u8..).zip(&state.runs) {
        if run.phase == Phase::Running {
            actions.push(Action::RunEnds(number));
        }
    }
}

fn process(setup: &Leases, state: &State, number: u8, task: &Task, actions: &mut Vec<Action>) {
    match task {
        Task::Idle => idle(setup, state, number, actions),
        Task::SawJob => actions.push(Action::ClaimLocks(number)),
        Task::Holds { attempt, .. } => {
            if state.db.row(*attempt).lease_over && !setup.is(Broken::SendsWithoutDeadline) {
                actions.push(Action::SendsNothing(number));
            } else if setup.pause_before_send {
                actions.push(Action::LooksAtClock(number));
            } else {
                sends(number, actions);
            }
        }
        Task::Sends { .. } => sends(number, actions),
        Task::Read { attempt, .. } => {
            actions.extend(answers(state, *attempt).into_iter().map(|answer| Action::Asks(number, answer)));
        }
        Task::Tells(_) => {
            if !state.is_locked() || setup.is(Broken::NoRowLock) {
                actions.push(Action::Locks(number));
            }
        }
        Task::Settles { .. } => actions.push(Action::Commits(number)),
    }
}

fn idle(setup: &Leases, state: &State, number: u8, actions: &mut Vec<Action>) {
    let room = state.db.rows.len() < usize::from(setup.attempts + setup.pauses);
    if room && matches!(state.db.job().state, JobState::Queued { .. }) {
        actions.push(Action::ClaimReads(number));
    }
    // A look passes over rows that are locked.
    if !state.is_locked() {
        let due = |attempt: &u8| !state.db.is_submitting(*attempt) || state.db.row(*attempt).lease_over;
        actions.extend(state.db.open().filter(due).map(|attempt| Action::Reads(number, attempt)));
    }
    for (run, told) in (0u8..).zip(&state.runs) {
        if told.calls > 0 {
            actions.push(Action::IsCalled(number, run));
        }
    }
}

fn sends(number: u8, actions: &mut Vec<Action>) {
    actions.extend([Sent::Accepted, Sent::AnswerLost, Sent::Vanished].map(|sent| Action::Sends(number, sent)));
}

/// By what the look has read; fal is asked now.
pub(super) fn answers(state: &State, attempt: u8) -> Vec<Answer> {
    let run = state.run_of(attempt);
    match &state.db.attempt(attempt).state {
        AttemptState::Submitting => vec![Answer::LeaseRanOut],
        AttemptState::Unknown => match run {
            Some(run) => vec![Answer::Found(run)],
            None if state.is_about_to_be_sent(attempt) => vec![Answer::Nothing],
            None => vec![Answer::Nothing, Answer::GivenUp],
        },
        AttemptState::Submitted { .. } => match run.filter(|run| state.runs[usize::from(*run)].phase == Phase::Good) {
            Some(run) => vec![Answer::Result(run)],
            None => vec![Answer::Nothing],
        },
        AttemptState::Succeeded { .. }
        | AttemptState::Failed(_)
        | AttemptState::Canceled { .. }
        | AttemptState::Abandoned
        | AttemptState::Expired => vec![Answer::Nothing],
    }
}
