//! What each action does.

use super::{Action, Call, Finding, Look, Posted, Stage, State, Word, Worker};
use crate::{
    db::request,
    fal::{FAILURE, Phase, Run},
    setup::{Broken, Limits, Setup},
    store::{self, Guard, News, Said},
};
use domain::{AttemptEvent, AttemptState, Charged, ErrorClass, Resolution};

pub(super) fn take(setup: &Setup, state: &mut State, action: Action) {
    match action {
        Action::Claim => {
            if let Some((attempt, fence)) = store::claim(&mut state.db) {
                state.worker = Worker::Holds { attempt, fence };
            }
        }
        Action::Post(posted) => post(setup, state, posted),
        Action::Record => {
            if let Worker::Tells(news) = std::mem::replace(&mut state.worker, Worker::Idle) {
                store::settle(&mut state.db, setup.broken, &news);
            }
        }
        Action::RecordInDoubt => {
            state.left.doubts -= 1;
            if let Worker::Tells(news) = &state.worker {
                store::settle(&mut state.db, setup.broken, news);
            }
        }
        Action::Crash => {
            state.left.crashes -= 1;
            (state.worker, state.look) = (Worker::Idle, None);
        }
        Action::LeaseEnds(attempt) => {
            state.left.pauses -= u8::from(state.holds(attempt));
            state.db.rows[usize::from(attempt)].lease_over = true;
        }
        Action::Arrives(run) => state.run(run).phase = first_phase(setup),
        Action::Begins(run) => state.run(run).phase = Phase::Running,
        Action::Ends(run, ending) => {
            if ending == crate::fal::Ending::Bad {
                state.left.errors -= 1;
            }
            state.run(run).end(ending, setup.tries);
        }
        Action::Called(run, call) => called(setup, state, run, call),
        Action::Listed(run) => state.run(run).listed = true,
        Action::Forgets(run) => {
            state.left.forgotten -= 1;
            state.run(run).forgotten = true;
        }
        Action::Audit(run) => state.run(run).orphan_charge = true,
        Action::Cancel => {
            state.left.cancels -= 1;
            state.wished = true;
            store::cancel(&mut state.db, setup.broken);
        }
        Action::Says(word) => {
            let how = if word == Word::Resubmit { Resolution::Resubmit } else { Resolution::GiveUp };
            if store::resolve(&mut state.db, how) {
                state.left.words -= 1;
                state.resubmitted += u8::from(word == Word::Resubmit);
            }
        }
        Action::Look(attempt) => state.look = Some(read(state, attempt)),
        Action::Finds(finding) => {
            if let Some(look) = state.look.take() {
                finds(setup, state, &look, finding);
            }
        }
    }
}

/// Without cancels it does not matter whether fal has begun.
fn first_phase(setup: &Setup) -> Phase {
    if setup.limits.cancels > 0 { Phase::InQueue } else { Phase::Running }
}

fn post(setup: &Setup, state: &mut State, posted: Posted) {
    let Worker::Holds { attempt, fence } = state.worker else {
        return;
    };
    let sent = u8::try_from(state.runs.len()).expect("a model has few runs");
    let phase = match posted {
        Posted::NotSent | Posted::PushedBack | Posted::Vanished => None,
        Posted::Accepted | Posted::AnswerLost => Some(first_phase(setup)),
        Posted::Slow => Some(Phase::Flying),
    };
    state.runs.extend(phase.map(|phase| Run::new(attempt, phase, setup.history)));
    let own = state.runs.iter().filter(|run| run.by == attempt).count();
    if posted == Posted::AnswerLost && setup.is(Broken::RetriesBlindly) && own == 1 {
        return;
    }
    let lease = Guard::Lease { fence };
    let (event, guard) = match posted {
        Posted::NotSent => (AttemptEvent::NotSent, lease),
        Posted::PushedBack => (AttemptEvent::PushedBack { class: ErrorClass::RateLimited }, lease),
        Posted::Accepted => (AttemptEvent::Bound(request(sent)), Guard::Evidence),
        Posted::AnswerLost | Posted::Slow | Posted::Vanished => (AttemptEvent::NoAnswer, lease),
    };
    if matches!(posted, Posted::NotSent | Posted::PushedBack) {
        // A POST that was not sent because its time was over is not counted.
        state.left.not_sent = state.left.not_sent.saturating_sub(1);
    }
    state.worker = Worker::Tells(News { attempt, event: Some(event), guard });
}

fn called(setup: &Setup, state: &mut State, run: u8, call: Call) {
    let told = &mut state.runs[usize::from(run)];
    told.calls = if matches!(call, Call::Taken | Call::TooOld) { 0 } else { told.calls - 1 };
    let said = match (call, told.phase) {
        (Call::Lost, _) => {
            state.left.losses -= u8::from(state.left.losses != Limits::ANY);
            return;
        }
        (Call::TooOld, _) => {
            state.left.stale -= 1;
            Said::TooOld
        }
        (Call::Taken | Call::TakenUnheard, Phase::Bad) => Said::Event(AttemptEvent::ResultError(request(run), FAILURE)),
        (Call::Taken | Call::TakenUnheard, _) => Said::Event(AttemptEvent::ResultOk(request(run))),
    };
    let by = told.by;
    let was_unknown = state.db.attempt(by).state == AttemptState::Unknown;
    store::callback(&mut state.db, setup.broken, setup.pinned, by, run, &said);
    state.found_by.callback |= was_unknown && state.db.attempt(by).state != AttemptState::Unknown;
}

fn read(from: &State, attempt: u8) -> Look {
    let stage = match from.db.bound_to(attempt) {
        _ if from.db.is_submitting(attempt) => Stage::LeaseRanOut,
        Some(run) => Stage::Submitted { run },
        None => Stage::Unknown,
    };
    let found = from.db.attempt(attempt);
    let cancel_wanted = from.db.row(attempt).cancel_wanted;
    Look { attempt, version: found.version, stage, cancel_wanted, superseded: found.superseded }
}

fn finds(setup: &Setup, state: &mut State, look: &Look, finding: Finding) {
    let decision = |event| News { attempt: look.attempt, event, guard: Guard::Version(look.version) };
    let news = match finding {
        Finding::Nothing => return,
        Finding::LeaseRanOut => return rescue(setup, state, look),
        Finding::Polled => {
            let Some(event) = polled(setup, state, look) else { return };
            News::evidence(look.attempt, event)
        }
        Finding::Candidate => {
            let Some(run) = state.db.row(look.attempt).candidate else { return };
            state.found_by.callback = true;
            News::evidence(look.attempt, AttemptEvent::Bound(request(run)))
        }
        Finding::InHistory(run) => {
            state.found_by.history = true;
            News::evidence(look.attempt, AttemptEvent::Bound(request(run)))
        }
        Finding::GivenUp => decision(Some(AttemptEvent::GivenUp)),
        Finding::Superseded => decision(None),
    };
    store::settle(&mut state.db, setup.broken, &news);
}

fn rescue(setup: &Setup, state: &mut State, look: &Look) {
    let decision =
        News { attempt: look.attempt, event: Some(AttemptEvent::LeaseExpired), guard: Guard::Version(look.version) };
    let changed = store::settle(&mut state.db, setup.broken, &decision);
    if changed && setup.is(Broken::RescueSends) {
        state.runs.push(Run::new(look.attempt, first_phase(setup), setup.history));
    }
    if changed && setup.is(Broken::RescueRequeues) {
        store::settle(&mut state.db, setup.broken, &News::evidence(look.attempt, AttemptEvent::GivenUp));
    }
}

/// Asks fal to stop the run, where that is wished, and then how it stands.
fn polled(setup: &Setup, state: &mut State, look: &Look) -> Option<AttemptEvent> {
    let Stage::Submitted { run: number } = look.stage else {
        return None;
    };
    let run = state.run(number);
    if look.cancel_wanted && (run.cancel() || setup.is(Broken::CancelIgnoresResult)) {
        return Some(AttemptEvent::CancelConfirmed(request(number), Charged::No));
    }
    match run.phase {
        Phase::Flying | Phase::InQueue | Phase::Running => None,
        Phase::Good if run.forgotten => Some(AttemptEvent::ResultGone(request(number))),
        Phase::Good => Some(AttemptEvent::ResultOk(request(number))),
        Phase::Bad => Some(AttemptEvent::ResultError(request(number), FAILURE)),
        Phase::Canceled => Some(AttemptEvent::CancelConfirmed(request(number), Charged::Perhaps)),
    }
}
