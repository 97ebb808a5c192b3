//! A job and its attempts as the store would hold them, and the claim as the store does it.

use crate::lifecycle::Circumstances;
use crate::{
    Attempt, AttemptEvent, AttemptId, AttemptState, Charged, ErrorClass, Failure, Job, JobEvent, JobId, JobState,
    JobTransition, Lifecycle, OnUnknown, Recorded, RequestId, RetryPolicy,
};
use chrono::{DateTime, Utc};
use std::time::Duration;
use uuid::Uuid;

pub(super) const T0: DateTime<Utc> = DateTime::UNIX_EPOCH;
pub(super) const AROUND: Circumstances = Circumstances {
    now: T0,
    retry: RetryPolicy { first: Duration::from_secs(2), longest: Duration::from_mins(5) },
    retry_after: None,
    dice: 0.5,
};
/// A failure after which another attempt is worth its while.
pub(super) const PASSING: Failure = Failure { class: ErrorClass::ModelError, charged: Charged::No };
/// A failure that every attempt would meet again.
pub(super) const LASTING: Failure = Failure { class: ErrorClass::Validation, charged: Charged::No };

pub(super) fn a_job(state: JobState, attempts_max: u16, on_unknown: OnUnknown) -> Lifecycle {
    let id = JobId(Uuid::from_u128(1));
    let job = Job { id, state, attempts_made: 0, attempts_max, on_unknown, cancel_armed: false, version: 1 };
    Lifecycle { job, attempts: Vec::new() }
}

pub(super) fn a_queued_job(attempts_max: u16, on_unknown: OnUnknown) -> Lifecycle {
    a_job(JobState::Queued { run_at: T0 }, attempts_max, on_unknown)
}

/// The id of the attempt with this number.
pub(super) fn id(number: u16) -> AttemptId {
    AttemptId(Uuid::from_u128(u128::from(number)))
}

/// fal's name for the attempt with this number.
pub(super) fn request(number: u16) -> RequestId {
    RequestId(format!("r-{number}"))
}

impl Lifecycle {
    /// Does what the store does when it claims. Returns whether it could.
    pub(super) fn claim(&mut self) -> bool {
        let JobTransition::To(state @ JobState::Running) = self.job.state.apply(&JobEvent::Claimed) else {
            return false;
        };
        let number = u16::try_from(self.attempts.len()).expect("histories are short") + 1;
        self.job.state = state;
        self.job.version += 1;
        self.job.attempts_made += 1;
        self.attempts.push(Attempt {
            id: id(number),
            number,
            state: AttemptState::Submitting,
            counted: true,
            superseded: false,
            request_id: None,
            version: 1,
        });
        true
    }

    pub(super) fn happens(&mut self, number: u16, event: &AttemptEvent) -> Recorded {
        self.record(id(number), event, &AROUND)
    }

    pub(super) fn bound(&mut self, number: u16) -> Recorded {
        self.happens(number, &AttemptEvent::Bound(request(number)))
    }

    pub(super) fn ok(&mut self, number: u16) -> Recorded {
        self.happens(number, &AttemptEvent::ResultOk(request(number)))
    }

    pub(super) fn states(&self) -> Vec<&'static str> {
        self.attempts.iter().map(|attempt| attempt.state.as_str()).collect()
    }
}
