//! A job together with its attempts: what one event does to all of them at once.
//!
//! [`Attempt::apply`] and [`JobState::apply`](crate::JobState::apply) decide; this only carries their decisions from one
//! to the other, and counts. The store locks the rows, calls this, and writes back what changed.

mod resolve;

pub use resolve::{Resolution, Unresolvable};

use crate::{
    Attempt, AttemptEvent, AttemptId, AttemptState, AttemptTransition, Charged, ErrorClass, Failure, Job, JobEvent,
    JobState, JobTransition, OnUnknown, RetryPolicy,
};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// A job and all its attempts, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    pub job: Job,
    pub attempts: Vec<Attempt>,
}

/// What the caller knows beside the event.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    pub now: DateTime<Utc>,
    pub retry: RetryPolicy,
    /// What fal asked us to wait, where it asked.
    pub retry_after: Option<Duration>,
    /// A number from 0 to 1, drawn for this event.
    pub dice: f64,
}

/// A good result that came when it was not expected any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// The job was open, and took it.
    Adopted,
    /// The job had ended otherwise: paid and noted, nothing else. Said again whenever the result comes again, so the
    /// note must bear repeating.
    SupersededOk,
}

/// What an event did. Ids of attempts are in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Whether the attempt that the event is about changed. Others change only by being superseded.
    pub attempt_changed: bool,
    pub job_changed: bool,
    /// The event contradicts what is recorded and was not applied.
    pub conflict: bool,
    pub late: Option<Late>,
    /// Open attempts whose result nobody waits for any more: fal is to be asked to stop them, once it has named them.
    pub cancel_at_fal: Vec<AttemptId>,
}

impl Lifecycle {
    /// Records what happened to one attempt. An id that is not among the attempts changes nothing.
    pub fn record(&mut self, id: AttemptId, event: &AttemptEvent, around: &Circumstances) -> Recorded {
        let Some(index) = self.attempts.iter().position(|attempt| attempt.id == id) else {
            return Recorded::default();
        };
        if *event == AttemptEvent::GivenUp && !self.may_give_up() {
            return Recorded::default();
        }
        match self.attempts[index].apply(event, !self.job.state.is_terminal()) {
            AttemptTransition::Unchanged => {
                Recorded { attempt_changed: self.note_request_id(index, event), ..Recorded::default() }
            }
            AttemptTransition::Conflict => Recorded { conflict: true, ..Recorded::default() },
            AttemptTransition::SupersededOk => Recorded {
                attempt_changed: self.note_request_id(index, event),
                late: Some(Late::SupersededOk),
                ..Recorded::default()
            },
            AttemptTransition::Adopted(state) => {
                let recorded = self.enter(index, state, event, |life| life.what_the_job_learns(index, around));
                Recorded { late: Some(Late::Adopted), ..recorded }
            }
            AttemptTransition::To(state) => {
                let late = self.job.state.is_terminal() && matches!(state, AttemptState::Succeeded { .. });
                let recorded = self.enter(index, state, event, |life| life.what_the_job_learns(index, around));
                Recorded { late: late.then_some(Late::SupersededOk), ..recorded }
            }
        }
    }

    /// Records what happened to the job itself.
    pub fn record_job(&mut self, event: &JobEvent) -> Recorded {
        let mut recorded = Recorded::default();
        match self.job.state.apply(event) {
            JobTransition::Unchanged => {}
            JobTransition::CancelArmed => {
                recorded.cancel_at_fal = self.open_attempts();
                if !self.job.cancel_armed {
                    self.job.cancel_armed = true;
                    self.job.version += 1;
                    recorded.job_changed = true;
                }
            }
            JobTransition::To(state) => {
                self.move_job(state);
                recorded.job_changed = true;
                if self.job.state.is_terminal() {
                    recorded.cancel_at_fal = self.supersede_open_attempts();
                }
            }
        }
        recorded
    }

    /// Opens a second attempt's way while the first is unknown (policy `impatient`): the first is superseded and stays
    /// open, since it may still be bound and adopted. Happens once in the life of a job; otherwise changes nothing.
    pub fn supersede_unknown(&mut self, id: AttemptId, around: &Circumstances) -> Recorded {
        let already = self.attempts.iter().any(|attempt| attempt.superseded);
        let impatient = self.job.on_unknown == OnUnknown::Impatient && !self.job.cancel_armed;
        let room = self.job.attempts_made < self.job.attempts_max;
        let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.id == id) else {
            return Recorded::default();
        };
        if already
            || !impatient
            || !room
            || attempt.state != AttemptState::Unknown
            || self.job.state != JobState::Running
        {
            return Recorded::default();
        }
        attempt.superseded = true;
        attempt.version += 1;
        let job_changed = self.step_job(&JobEvent::RetryAt { at: around.now });
        Recorded { attempt_changed: true, job_changed, ..Recorded::default() }
    }

    /// Moves an attempt, and its job by what `told` makes of that.
    fn enter(
        &mut self,
        index: usize,
        state: AttemptState,
        event: &AttemptEvent,
        told: impl FnOnce(&Self) -> Option<JobEvent>,
    ) -> Recorded {
        let attempt = &mut self.attempts[index];
        attempt.state = state;
        attempt.version += 1;
        if attempt.request_id.is_none() {
            attempt.request_id = event.request_id().cloned();
        }
        // An ended job never changes, not even in its count.
        let job_is_open = !self.job.state.is_terminal();
        if event.takes_back_the_count() && attempt.counted && job_is_open {
            attempt.counted = false;
            self.job.attempts_made = self.job.attempts_made.saturating_sub(1);
        }
        let mut recorded = Recorded { attempt_changed: true, ..Recorded::default() };
        if let Some(event) = told(self) {
            recorded.job_changed = self.step_job(&event);
        }
        if self.job.state.is_terminal() {
            recorded.cancel_at_fal = self.supersede_open_attempts();
        } else if self.job.cancel_armed && !self.attempts[index].state.is_terminal() {
            recorded.cancel_at_fal = vec![self.attempts[index].id];
        }
        recorded
    }

    /// Translates the new state of an attempt into an event of its job.
    fn what_the_job_learns(&self, index: usize, around: &Circumstances) -> Option<JobEvent> {
        let attempt = &self.attempts[index];
        let failure = match &attempt.state {
            AttemptState::Submitting | AttemptState::Unknown | AttemptState::Submitted { .. } => {
                return None;
            }
            // Even a superseded attempt may bring the result.
            AttemptState::Succeeded { .. } => return Some(JobEvent::AttemptSucceeded),
            AttemptState::Failed(failure) => *failure,
            AttemptState::Canceled { charged } => Failure { class: ErrorClass::Canceled, charged: *charged },
            AttemptState::Abandoned => Failure { class: ErrorClass::Abandoned, charged: Charged::Perhaps },
            AttemptState::Expired => Failure { class: ErrorClass::ResultExpired, charged: Charged::Yes },
        };
        if attempt.superseded {
            return None;
        }
        if failure.class == ErrorClass::Canceled || self.job.cancel_armed {
            return Some(JobEvent::CancelConfirmed);
        }
        if failure.class.is_retryable() && self.job.attempts_made < self.job.attempts_max {
            let wait = around.retry.wait(attempt.number, around.retry_after, around.dice);
            return Some(JobEvent::RetryAt { at: around.now + wait });
        }
        Some(JobEvent::AttemptsEnded(failure))
    }

    fn step_job(&mut self, event: &JobEvent) -> bool {
        match self.job.state.apply(event) {
            JobTransition::To(state) => {
                self.move_job(state);
                true
            }
            JobTransition::Unchanged | JobTransition::CancelArmed => false,
        }
    }

    fn move_job(&mut self, state: JobState) {
        self.job.state = state;
        self.job.version += 1;
    }

    fn may_give_up(&self) -> bool {
        self.job.on_unknown != OnUnknown::Operator || self.job.state.is_terminal()
    }

    fn open_attempts(&self) -> Vec<AttemptId> {
        self.attempts.iter().filter(|attempt| !attempt.state.is_terminal()).map(|attempt| attempt.id).collect()
    }

    /// Takes the place of every attempt that is still open, since the job has ended. Returns all that are open, also
    /// those superseded before: one of them may have just got the request id that a cancel needs.
    fn supersede_open_attempts(&mut self) -> Vec<AttemptId> {
        for attempt in self.attempts.iter_mut().filter(|attempt| !attempt.state.is_terminal() && !attempt.superseded) {
            attempt.superseded = true;
            attempt.version += 1;
        }
        self.open_attempts()
    }

    /// Keeps fal's name for an attempt that ended without one: what fal bills by that name is then no orphan, and later
    /// evidence under another name is a conflict. Returns whether it was news.
    fn note_request_id(&mut self, index: usize, event: &AttemptEvent) -> bool {
        let attempt = &mut self.attempts[index];
        let news = attempt.request_id.is_none() && event.request_id().is_some();
        if news {
            attempt.request_id = event.request_id().cloned();
            attempt.version += 1;
        }
        news
    }
}
