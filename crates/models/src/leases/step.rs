//! What each action does.

use super::{Action, Answer, Leases, Sent, State, Task};
use crate::{
    db::{Db, request},
    fal::{Ending, Phase, Run},
    setup::{Broken, History},
    store::{self, Guard, News},
};
use domain::AttemptEvent;

pub(super) fn take(setup: &Leases, state: &mut State, action: Action) {
    match action {
        Action::ClaimReads(process) => state.processes[usize::from(process)] = Task::SawJob,
        Action::ClaimLocks(process) => {
            let claimed = claim(setup, state);
            state.processes[usize::from(process)] =
                claimed.map_or(Task::Idle, |(attempt, fence)| Task::Holds { attempt, fence });
        }
        Action::LooksAtClock(process) => {
            if let Task::Holds { attempt, fence } = state.processes[usize::from(process)] {
                state.processes[usize::from(process)] = Task::Sends { attempt, fence };
            }
        }
        Action::Sends(process, sent) => send(state, process, Some(sent)),
        Action::SendsNothing(process) => send(state, process, None),
        Action::Reads(process, attempt) => {
            let version = state.db.attempt(attempt).version;
            state.processes[usize::from(process)] = Task::Read { attempt, version };
        }
        Action::Asks(process, answer) => asks(setup, state, process, answer),
        Action::IsCalled(process, run) => {
            let told = &mut state.runs[usize::from(run)];
            told.calls -= 1;
            let news = News::evidence(told.by, AttemptEvent::ResultOk(request(run)));
            state.processes[usize::from(process)] = Task::Tells(news);
        }
        Action::Locks(process) => {
            let task = &mut state.processes[usize::from(process)];
            if let Task::Tells(news) = std::mem::replace(task, Task::Idle) {
                let loaded = setup.is(Broken::NoRowLock).then(|| Box::new(state.db.clone()));
                *task = Task::Settles { news, loaded };
            }
        }
        Action::Commits(process) => {
            let task = std::mem::replace(&mut state.processes[usize::from(process)], Task::Idle);
            if let Task::Settles { news, loaded } = task {
                commit(setup, &mut state.db, &news, loaded);
            }
        }
        Action::Crashes(process) => {
            state.crashes_left -= 1;
            state.processes[usize::from(process)] = Task::Idle;
        }
        Action::LeaseEnds(attempt) => {
            state.pauses_left -= u8::from(state.is_held(attempt));
            state.db.rows[usize::from(attempt)].lease_over = true;
        }
        Action::RunEnds(run) => state.runs[usize::from(run)].end(Ending::Good, setup.tries),
    }
}

fn claim(setup: &Leases, state: &mut State) -> Option<(u8, u8)> {
    if state.is_locked() {
        return None;
    }
    if setup.is(Broken::ClaimWithoutRecheck) {
        return Some(store::open_attempt(&mut state.db, domain::JobState::Running));
    }
    store::claim(&mut state.db)
}

fn send(state: &mut State, process: u8, sent: Option<Sent>) {
    let (Task::Holds { attempt, fence } | Task::Sends { attempt, fence }) = state.processes[usize::from(process)]
    else {
        return;
    };
    let number = u8::try_from(state.runs.len()).expect("a model has few runs");
    if matches!(sent, Some(Sent::Accepted | Sent::AnswerLost)) {
        state.runs.push(Run::new(attempt, Phase::Running, History::Complete));
    }
    state.sent_late |= sent.is_some() && state.db.row(attempt).lease_over;
    let lease = Guard::Lease { fence };
    let (event, guard) = match sent {
        None => (AttemptEvent::NotSent, lease),
        Some(Sent::Accepted) => (AttemptEvent::Bound(request(number)), Guard::Evidence),
        Some(Sent::AnswerLost | Sent::Vanished) => (AttemptEvent::NoAnswer, lease),
    };
    state.processes[usize::from(process)] = Task::Tells(News { attempt, event: Some(event), guard });
}

fn asks(setup: &Leases, state: &mut State, process: u8, answer: Answer) {
    let Task::Read { attempt, version } = state.processes[usize::from(process)] else {
        return;
    };
    let decision = |event| News { attempt, event: Some(event), guard: Guard::Version(version) };
    state.processes[usize::from(process)] = match answer {
        Answer::Nothing => Task::Idle,
        Answer::LeaseRanOut if setup.is(Broken::RescueSends) => {
            Task::Sends { attempt, fence: state.db.row(attempt).fence }
        }
        Answer::LeaseRanOut => Task::Tells(decision(AttemptEvent::LeaseExpired)),
        Answer::Found(run) => Task::Tells(News::evidence(attempt, AttemptEvent::Bound(request(run)))),
        Answer::Result(run) => Task::Tells(News::evidence(attempt, AttemptEvent::ResultOk(request(run)))),
        Answer::GivenUp => Task::Tells(decision(AttemptEvent::GivenUp)),
    };
}

fn commit(setup: &Leases, db: &mut Db, news: &News, loaded: Option<Box<Db>>) {
    if let Some(loaded) = loaded {
        // Time goes on whoever writes, and a row that was added is not written over.
        let stale = std::mem::replace(db, *loaded);
        for (row, newer) in db.rows.iter_mut().zip(&stale.rows) {
            row.lease_over = newer.lease_over;
        }
        let events = stale.ends.len().saturating_sub(db.ends.len());
        db.ends.extend(stale.ends.iter().rev().take(events));
    }
    let rescued = news.event == Some(AttemptEvent::LeaseExpired);
    let changed = store::settle(db, setup.broken, news);
    if changed && rescued && setup.is(Broken::RescueRequeues) {
        store::settle(db, setup.broken, &News::evidence(news.attempt, AttemptEvent::GivenUp));
    }
}
