//! Two processes at one job: leases that end while their holder is paused, rescuers, and the row lock.
//!
//! A transaction is two steps here, lock and commit, and between them the other process may do what it likes but lock.
//! A claim reads the job in its snapshot, and locks it later: it passes over a row that is locked, and looks again at one
//! that it got. A pause is a process that takes no step while everything else goes on. fal lists what it took at once.

mod actions;
mod properties;
mod step;

pub use properties::named;

use crate::{db::Db, fal::Run, setup::Broken, store::News};
use domain::OnUnknown;
use stateright::{Model, Property};

/// One variant of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leases {
    /// Attempts that may be claimed, and the job's `attempts_max`.
    pub attempts: u8,
    /// How often fal calls.
    pub tries: u8,
    pub crashes: u8,
    /// Leases that end while their holder has not sent yet.
    pub pauses: u8,
    /// A process may be paused between its look at the clock and the first byte that it sends.
    pub pause_before_send: bool,
    pub broken: Option<Broken>,
}

/// Everything there is, in one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub db: Db,
    pub runs: Vec<Run>,
    pub processes: [Task; 2],
    pub crashes_left: u8,
    pub pauses_left: u8,
    /// Something was sent for an attempt whose lease had ended.
    pub sent_late: bool,
}

/// What a process is at, all of it lost in a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    Idle,
    /// The snapshot of its claim shows the job as queued.
    SawJob,
    Holds {
        attempt: u8,
        fence: u8,
    },
    /// It has looked at the clock, and sends next.
    Sends {
        attempt: u8,
        fence: u8,
    },
    /// A look has read the row of an attempt.
    Read {
        attempt: u8,
        version: i32,
    },
    /// It waits for the lock, to record this.
    Tells(News),
    /// It has the lock. What it loaded is what is committed, unless there is no lock to wait for.
    Settles {
        news: News,
        loaded: Option<Box<Db>>,
    },
}

/// One thing that happens. The first number is the process, in what one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    ClaimReads(u8),
    ClaimLocks(u8),
    LooksAtClock(u8),
    Sends(u8, Sent),
    SendsNothing(u8),
    Reads(u8, u8),
    Asks(u8, Answer),
    IsCalled(u8, u8),
    Locks(u8),
    Commits(u8),
    Crashes(u8),
    LeaseEnds(u8),
    RunEnds(u8),
}

/// What comes of a POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    Accepted,
    AnswerLost,
    Vanished,
}

/// What fal, or the row, says to a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    LeaseRanOut,
    Found(u8),
    Result(u8),
    GivenUp,
    Nothing,
}

impl Leases {
    pub fn shipped() -> Self {
        Self { attempts: 2, tries: 1, crashes: 1, pauses: 1, pause_before_send: false, broken: None }
    }

    #[must_use]
    pub fn but(mut self, broken: Broken) -> Self {
        self.broken = Some(broken);
        self
    }

    pub(crate) fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }
}

impl Model for Leases {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            db: Db::with_one_job(u16::from(self.attempts), OnUnknown::Patient),
            runs: Vec::new(),
            processes: [Task::Idle, Task::Idle],
            crashes_left: self.crashes,
            pauses_left: self.pauses,
            sent_late: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions::all(self, state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        step::take(self, &mut next, action);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl State {
    pub(crate) fn is_locked(&self) -> bool {
        self.processes.iter().any(|task| matches!(task, Task::Settles { .. }))
    }

    pub(crate) fn run_of(&self, attempt: u8) -> Option<u8> {
        (0u8..).zip(&self.runs).find(|(_, run)| run.by == attempt).map(|(number, _)| number)
    }

    /// Whether a process has claimed this attempt, or means to send it, and has not sent it.
    pub(crate) fn is_held(&self, wanted: u8) -> bool {
        let holds = |task: &Task| matches!(task, Task::Holds { attempt, .. } | Task::Sends { attempt, .. } if *attempt == wanted);
        self.processes.iter().any(holds)
    }

    /// Whether a process has looked at the clock, and sends this attempt next.
    pub(crate) fn is_about_to_be_sent(&self, wanted: u8) -> bool {
        self.processes.iter().any(|task| matches!(task, Task::Sends { attempt, .. } if *attempt == wanted))
    }
}
