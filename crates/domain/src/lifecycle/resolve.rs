//! What a person decides about an attempt of which nobody knows what became.

use super::{Circumstances, Lifecycle, Recorded};
use crate::{
    AttemptEvent, AttemptId, AttemptState, AttemptTransition, Charged, ErrorClass, Failure, JobEvent, OnUnknown,
};
use std::str::FromStr;

/// What becomes of a job whose attempt a person gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Another attempt is made at once, at the risk of paying twice. For jobs that wait for a person alone: the others have
    /// a rule of their own.
    Resubmit,
    /// The job fails as abandoned, or is canceled where somebody wished for its end. Under any policy.
    GiveUp,
}

/// Why a person has nothing to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolvable {
    JobEnded,
    /// No attempt of it that counts is unknown.
    NothingUnknown,
    /// The job's own policy sends it again; only one that waits for the operator is sent by a person.
    PolicyDecides(OnUnknown),
    /// Somebody wishes for its end.
    CancelArmed,
    AttemptsUsedUp,
}

impl Resolution {
    pub const ALL: [Self; 2] = [Self::Resubmit, Self::GiveUp];

    /// The name in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resubmit => "resubmit",
            Self::GiveUp => "give_up",
        }
    }
}

impl FromStr for Resolution {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|resolution| resolution.as_str() == text).ok_or(())
    }
}

impl Lifecycle {
    /// Gives up the unknown attempt for which the job waits, and moves the job as the person says. What fal tells of the
    /// attempt later counts as for any other that was given up. Returns which attempt it was.
    ///
    /// # Errors
    /// When there is nothing to decide; then nothing is changed.
    pub fn resolve(&mut self, how: Resolution, around: &Circumstances) -> Result<(AttemptId, Recorded), Unresolvable> {
        if self.job.state.is_terminal() {
            return Err(Unresolvable::JobEnded);
        }
        let waits_for = |attempt: &crate::Attempt| attempt.state == AttemptState::Unknown && !attempt.superseded;
        let index = self.attempts.iter().position(waits_for).ok_or(Unresolvable::NothingUnknown)?;
        let told = self.told_by_a_person(how, around)?;
        let AttemptTransition::To(state) = self.attempts[index].apply(&AttemptEvent::GivenUp, true) else {
            return Err(Unresolvable::NothingUnknown);
        };
        let recorded = self.enter(index, state, &AttemptEvent::GivenUp, |_| Some(told));
        Ok((self.attempts[index].id, recorded))
    }

    fn told_by_a_person(&self, how: Resolution, around: &Circumstances) -> Result<JobEvent, Unresolvable> {
        match how {
            Resolution::GiveUp if self.job.cancel_armed => Ok(JobEvent::CancelConfirmed),
            Resolution::GiveUp => {
                Ok(JobEvent::AttemptsEnded(Failure { class: ErrorClass::Abandoned, charged: Charged::Perhaps }))
            }
            Resolution::Resubmit if self.job.on_unknown != OnUnknown::Operator => {
                Err(Unresolvable::PolicyDecides(self.job.on_unknown))
            }
            Resolution::Resubmit if self.job.cancel_armed => Err(Unresolvable::CancelArmed),
            Resolution::Resubmit if self.job.attempts_made >= self.job.attempts_max => {
                Err(Unresolvable::AttemptsUsedUp)
            }
            Resolution::Resubmit => Ok(JobEvent::RetryAt { at: around.now }),
        }
    }
}
