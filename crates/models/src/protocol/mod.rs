//! One job from its first claim to its end: POST, lost answers, callbacks, looks, cancels, late results.
//!
//! Every commit is one step: [`crate::leases`] shows that the row lock makes it one. A worker and a reconciler hold in
//! their memory what they are about to record, and lose it in a crash. What a look decides, it decides by what it read
//! in an earlier step.

mod actions;
mod properties;
mod step;

pub use properties::named;

use crate::{
    db::Db,
    fal::{Ending, Phase, Run},
    setup::{Limits, Setup},
    store::News,
};
use stateright::{Model, Property};

/// Everything there is, in one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub db: Db,
    pub runs: Vec<Run>,
    pub worker: Worker,
    pub look: Option<Look>,
    pub left: Limits,
    /// Somebody asked for the job's end.
    pub wished: bool,
    /// Attempts that a person had sent again, at the risk of paying twice.
    pub resubmitted: u8,
    /// How an attempt that was unknown came to its request id, for the checks that the model reaches what it is about.
    pub found_by: FoundBy,
}

/// What the submitter has in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Worker {
    Idle,
    /// It has claimed, and sent nothing.
    Holds {
        attempt: u8,
        fence: u8,
    },
    /// It knows what came of the POST.
    Tells(News),
}

/// What a look read before it asked fal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    pub attempt: u8,
    pub version: i32,
    pub stage: Stage,
    pub cancel_wanted: bool,
    pub superseded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    LeaseRanOut,
    Unknown,
    Submitted { run: u8 },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FoundBy {
    pub callback: bool,
    pub history: bool,
}

/// One thing that happens. Numbers name attempts and runs, in the order in which they came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Claim,
    Post(Posted),
    Record,
    /// Recorded, and the connection broke before the answer: it is recorded again.
    RecordInDoubt,
    Crash,
    LeaseEnds(u8),
    Arrives(u8),
    Begins(u8),
    Ends(u8, Ending),
    Called(u8, Call),
    Listed(u8),
    Forgets(u8),
    Audit(u8),
    Cancel,
    /// A person says that an unknown attempt is to be given up, and whether another follows.
    Says(Word),
    Look(u8),
    Finds(Finding),
}

/// What a person says: `domain`'s resolutions, which cannot be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    Resubmit,
    GiveUp,
}

/// What comes of a POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Posted {
    /// Provably no byte left.
    NotSent,
    /// fal asked to wait.
    PushedBack,
    Accepted,
    /// fal took it, and its answer never came.
    AnswerLost,
    /// No answer came, and the request may still reach fal.
    Slow,
    /// No answer came, and the request never reaches fal.
    Vanished,
}

/// What becomes of a call of fal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    Taken,
    /// Committed, and our answer was lost: fal calls again.
    TakenUnheard,
    Lost,
    /// Its stamp is too old to be believed at once.
    TooOld,
}

/// What a look comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    LeaseRanOut,
    Polled,
    Candidate,
    InHistory(u8),
    GivenUp,
    Superseded,
    Nothing,
}

impl Model for Setup {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            db: Db::with_one_job(u16::from(self.attempts), self.on_unknown),
            runs: Vec::new(),
            worker: Worker::Idle,
            look: None,
            left: self.limits,
            wished: false,
            resubmitted: 0,
            found_by: FoundBy::default(),
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
        properties::all(self)
    }
}

impl State {
    pub(crate) fn run(&mut self, run: u8) -> &mut Run {
        &mut self.runs[usize::from(run)]
    }

    pub(crate) fn numbered_runs(&self) -> impl Iterator<Item = (u8, &Run)> {
        (0u8..).zip(&self.runs)
    }

    /// Whether the submitter has claimed this attempt and not sent it.
    pub(crate) fn holds(&self, attempt: u8) -> bool {
        matches!(self.worker, Worker::Holds { attempt: held, .. } if held == attempt)
    }

    /// Whether the charge of a run is written down somewhere.
    pub(crate) fn is_in_ledger(&self, run: u8) -> bool {
        let of_run = &self.runs[usize::from(run)];
        of_run.orphan_charge
            || self.db.holder(run).is_some_and(|attempt| {
                let lines = &self.db.row(attempt).ledger;
                lines.charge || lines.superseded_charge || (of_run.phase == Phase::Bad && lines.possible_charge)
            })
    }
}
