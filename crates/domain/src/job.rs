//! One unit of work that a project submitted, and the only function that decides what becomes of it.

use crate::{Failure, JobId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Accepted for later.
    Scheduled {
        run_at: DateTime<Utc>,
    },
    /// A budget or an approval holds it back.
    Held,
    /// May be claimed from `run_at` on, which lies ahead during back-off.
    Queued {
        run_at: DateTime<Utc>,
    },
    /// An attempt is under way, or nobody knows whether one is.
    Running,
    Succeeded,
    Failed(Failure),
    Canceled,
}

/// What may happen to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEvent {
    /// The time it was scheduled for has come.
    Due { at: DateTime<Utc> },
    /// What held it back is gone.
    Resumed { at: DateTime<Utc> },
    /// What held it back will not go.
    HoldRefused(Failure),
    /// An attempt at it was committed.
    Claimed,
    /// One of its attempts has the result.
    AttemptSucceeded,
    /// Its live attempt failed and another may follow at `at`.
    RetryAt { at: DateTime<Utc> },
    /// Its live attempt failed and none will follow.
    AttemptsEnded(Failure),
    /// Somebody asked for its end.
    CancelRequested,
    /// fal confirmed the end of its live attempt.
    CancelConfirmed,
    /// Nobody has a use for it any more.
    UsefulUntilPassed,
}

/// What an event does to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobTransition {
    Unchanged,
    To(JobState),
    /// The end is wished for; only fal can confirm it.
    CancelArmed,
}

/// What follows when nobody learns what became of an attempt. Chosen per job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Waits for `abandon_after`, then tries again.
    #[default]
    Patient,
    /// Tries once more after `history_after`, at the risk of paying twice. Never more than once.
    Impatient,
    /// Waits for a person.
    Operator,
}

impl OnUnknown {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Impatient => "impatient",
            Self::Operator => "operator",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Patient, Self::Impatient, Self::Operator].into_iter().find(|policy| policy.as_str() == name)
    }
}

/// How much sooner than its neighbours a job may start: −10 to 10, 0 where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Priority(i16);

impl Priority {
    pub const LOWEST: i16 = -10;
    pub const HIGHEST: i16 = 10;

    /// Returns nothing outside the range.
    pub fn new(level: i64) -> Option<Self> {
        i16::try_from(level).ok().filter(|level| (Self::LOWEST..=Self::HIGHEST).contains(level)).map(Self)
    }

    pub const fn level(self) -> i16 {
        self.0
    }
}

/// A job as its transitions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: JobId,
    pub state: JobState,
    /// Attempts that count against `attempts_max`.
    pub attempts_made: u16,
    /// From 1.
    pub attempts_max: u16,
    pub on_unknown: OnUnknown,
    /// Somebody wishes for the end; fal has not confirmed it.
    pub cancel_armed: bool,
    /// Rises by one with every change of state, and when a cancel is armed.
    pub version: i32,
}

impl JobState {
    /// The name in SQL, in the API and in logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Scheduled { .. } => "scheduled",
            Self::Held => "held",
            Self::Queued { .. } => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::Canceled => "canceled",
        }
    }

    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::Scheduled { .. } | Self::Held | Self::Queued { .. } | Self::Running => false,
            Self::Succeeded | Self::Failed(_) | Self::Canceled => true,
        }
    }

    /// Decides what `event` does to a job in this state. No other code decides a job's next state.
    ///
    /// A terminal job never changes: callbacks repeat, arrive late, and overtake each other.
    pub fn apply(&self, event: &JobEvent) -> JobTransition {
        match self {
            Self::Scheduled { .. } => while_scheduled(event),
            Self::Held => while_held(event),
            Self::Queued { .. } => while_queued(event),
            Self::Running => while_running(event),
            Self::Succeeded | Self::Failed(_) | Self::Canceled => JobTransition::Unchanged,
        }
    }
}

impl JobEvent {
    /// The name in the log of transitions.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Due { .. } => "due",
            Self::Resumed { .. } => "resumed",
            Self::HoldRefused(_) => "hold_refused",
            Self::Claimed => "claimed",
            Self::AttemptSucceeded => "attempt_succeeded",
            Self::RetryAt { .. } => "retry",
            Self::AttemptsEnded(_) => "attempts_ended",
            Self::CancelRequested => "cancel_requested",
            Self::CancelConfirmed => "cancel_confirmed",
            Self::UsefulUntilPassed => "useful_until_passed",
        }
    }
}

fn while_scheduled(event: &JobEvent) -> JobTransition {
    match event {
        JobEvent::Due { at } => JobTransition::To(JobState::Queued { run_at: *at }),
        JobEvent::CancelRequested | JobEvent::UsefulUntilPassed => JobTransition::To(JobState::Canceled),
        JobEvent::Resumed { .. }
        | JobEvent::HoldRefused(_)
        | JobEvent::Claimed
        | JobEvent::AttemptSucceeded
        | JobEvent::RetryAt { .. }
        | JobEvent::AttemptsEnded(_)
        | JobEvent::CancelConfirmed => JobTransition::Unchanged,
    }
}

fn while_held(event: &JobEvent) -> JobTransition {
    match event {
        JobEvent::Resumed { at } => JobTransition::To(JobState::Queued { run_at: *at }),
        JobEvent::HoldRefused(failure) => JobTransition::To(JobState::Failed(*failure)),
        JobEvent::CancelRequested | JobEvent::UsefulUntilPassed => JobTransition::To(JobState::Canceled),
        JobEvent::Due { .. }
        | JobEvent::Claimed
        | JobEvent::AttemptSucceeded
        | JobEvent::RetryAt { .. }
        | JobEvent::AttemptsEnded(_)
        | JobEvent::CancelConfirmed => JobTransition::Unchanged,
    }
}

fn while_queued(event: &JobEvent) -> JobTransition {
    match event {
        JobEvent::Claimed => JobTransition::To(JobState::Running),
        // The result of an earlier attempt came during the back-off.
        JobEvent::AttemptSucceeded => JobTransition::To(JobState::Succeeded),
        JobEvent::CancelRequested | JobEvent::UsefulUntilPassed => JobTransition::To(JobState::Canceled),
        JobEvent::Due { .. }
        | JobEvent::Resumed { .. }
        | JobEvent::HoldRefused(_)
        | JobEvent::RetryAt { .. }
        | JobEvent::AttemptsEnded(_)
        | JobEvent::CancelConfirmed => JobTransition::Unchanged,
    }
}

fn while_running(event: &JobEvent) -> JobTransition {
    match event {
        JobEvent::AttemptSucceeded => JobTransition::To(JobState::Succeeded),
        JobEvent::RetryAt { at } => JobTransition::To(JobState::Queued { run_at: *at }),
        JobEvent::AttemptsEnded(failure) => JobTransition::To(JobState::Failed(*failure)),
        JobEvent::CancelConfirmed => JobTransition::To(JobState::Canceled),
        JobEvent::CancelRequested => JobTransition::CancelArmed,
        JobEvent::Due { .. }
        | JobEvent::Resumed { .. }
        | JobEvent::HoldRefused(_)
        | JobEvent::Claimed
        | JobEvent::UsefulUntilPassed => JobTransition::Unchanged,
    }
}
