//! The rows of one job as the store would hold them, in the smallest form that can be compared and hashed.

use chrono::DateTime;
use domain::{
    Attempt, AttemptId, AttemptState, Job, JobId, JobState, Lifecycle, OnUnknown, RequestId, RetryPolicy,
    lifecycle::Circumstances,
};
use std::{
    hash::{Hash, Hasher},
    time::Duration,
};
use uuid::Uuid;

/// The model has no clock: what must wait for a time may happen at any moment that the environment allows.
pub(crate) const AROUND: Circumstances = Circumstances {
    now: DateTime::UNIX_EPOCH,
    retry: RetryPolicy { first: Duration::ZERO, longest: Duration::ZERO },
    retry_after: None,
    dice: 0.0,
};

/// `domain`'s own job and attempts, which a checker of models must be able to hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life(pub Lifecycle);

/// What a row of `attempts` knows beside what `domain` decides by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for a column that is null or not")]
pub struct Row {
    /// Made new by every claim.
    pub fence: u8,
    /// The database's clock has passed `lease_until`.
    pub lease_over: bool,
    /// A request id that a callback named and nobody has confirmed.
    pub candidate: Option<u8>,
    /// fal is to be asked to stop it.
    pub cancel_wanted: bool,
    /// A good result came when the job had ended.
    pub superseded_ok: bool,
    pub result: bool,
    pub ledger: Ledger,
}

/// Which lines of money an attempt has. The table allows one of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    pub charge: bool,
    pub superseded_charge: bool,
    pub possible_charge: bool,
}

/// All that is committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Db {
    pub life: Life,
    /// One for each attempt, in the same order.
    pub rows: Vec<Row>,
    /// The types of the events that were written, in order: one for each time the job ended.
    pub ends: Vec<&'static str>,
    /// Somebody changed an attempt by a decision that was no longer theirs. No row says so: it is there to be checked.
    pub overwritten: bool,
}

impl Db {
    /// One accepted job that waits for its first attempt.
    pub fn with_one_job(attempts_max: u16, on_unknown: OnUnknown) -> Self {
        let job = Job {
            id: JobId(Uuid::from_u128(1)),
            state: JobState::Queued { run_at: AROUND.now },
            attempts_made: 0,
            attempts_max,
            on_unknown,
            cancel_armed: false,
            version: 1,
        };
        let life = Life(Lifecycle { job, attempts: Vec::new() });
        Self { life, rows: Vec::new(), ends: Vec::new(), overwritten: false }
    }

    pub fn job(&self) -> &Job {
        &self.life.0.job
    }

    pub fn attempts(&self) -> &[Attempt] {
        &self.life.0.attempts
    }

    /// Indexes of the attempts that are still open.
    pub fn open(&self) -> impl Iterator<Item = u8> + '_ {
        (0u8..).zip(self.attempts()).filter(|(_, attempt)| !attempt.state.is_terminal()).map(|(index, _)| index)
    }

    pub fn attempt(&self, index: u8) -> &Attempt {
        &self.attempts()[usize::from(index)]
    }

    pub fn row(&self, index: u8) -> &Row {
        &self.rows[usize::from(index)]
    }

    /// The attempt that holds this request id, as `request_bindings` has it.
    pub fn holder(&self, run: u8) -> Option<u8> {
        let id = request(run);
        (0u8..)
            .zip(self.attempts())
            .find(|(_, attempt)| attempt.request_id.as_ref() == Some(&id))
            .map(|(index, _)| index)
    }

    /// The run that an attempt is bound to.
    pub fn bound_to(&self, index: u8) -> Option<u8> {
        self.attempt(index).request_id.as_ref().and_then(|id| id.0.parse().ok())
    }

    pub fn is_submitting(&self, index: u8) -> bool {
        self.attempt(index).state == AttemptState::Submitting
    }
}

/// fal's name for a run.
pub(crate) fn request(run: u8) -> RequestId {
    RequestId(run.to_string())
}

pub(crate) fn attempt_id(index: u8) -> AttemptId {
    AttemptId(Uuid::from_u128(u128::from(index) + 1))
}

impl Hash for Life {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Lifecycle { job, attempts } = &self.0;
        // The other fields of a job are the same in all states of one model, and its times are all one.
        job.state.as_str().hash(hasher);
        if let JobState::Failed(failure) = &job.state {
            failure.hash(hasher);
        }
        (job.attempts_made, job.cancel_armed, job.version).hash(hasher);
        for Attempt { id: _, number, state, counted, superseded, request_id, version } in attempts {
            (number, state, counted, superseded, request_id, version).hash(hasher);
        }
    }
}
