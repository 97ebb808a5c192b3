//! What every event does to an attempt in every state. Reads nothing but the attempt, and changes nothing.

use super::{Attempt, AttemptEvent, AttemptState, AttemptTransition, Charged, Failure};
use crate::ErrorClass;

impl Attempt {
    /// Decides what `event` does to this attempt. No other code decides an attempt's next state.
    ///
    /// `job_is_open` matters only to a good result that comes late.
    pub fn apply(&self, event: &AttemptEvent, job_is_open: bool) -> AttemptTransition {
        if let (Some(bound), Some(said)) = (&self.request_id, event.request_id())
            && bound != said
        {
            return AttemptTransition::Conflict;
        }
        match &self.state {
            AttemptState::Submitting => while_submitting(event),
            AttemptState::Unknown => while_unknown(event),
            AttemptState::Submitted { .. } => while_submitted(event),
            AttemptState::Succeeded { .. } => once_succeeded(event),
            AttemptState::Failed(_)
            | AttemptState::Canceled { .. }
            | AttemptState::Abandoned
            | AttemptState::Expired => once_ended_without_result(event, job_is_open),
        }
    }
}

fn while_submitting(event: &AttemptEvent) -> AttemptTransition {
    match event {
        AttemptEvent::NotSent => failed(ErrorClass::NotSent, Charged::No),
        AttemptEvent::Refused(failure) => AttemptTransition::To(AttemptState::Failed(*failure)),
        AttemptEvent::PushedBack { class } => failed(*class, Charged::No),
        AttemptEvent::NoAnswer | AttemptEvent::LeaseExpired => AttemptTransition::To(AttemptState::Unknown),
        // Only an unknown attempt is given up: the lease must run out first.
        AttemptEvent::GivenUp => AttemptTransition::Unchanged,
        AttemptEvent::Bound(_)
        | AttemptEvent::ResultOk(_)
        | AttemptEvent::ResultError(..)
        | AttemptEvent::ResultGone(_)
        | AttemptEvent::CancelConfirmed(..) => on_evidence(event),
    }
}

fn while_unknown(event: &AttemptEvent) -> AttemptTransition {
    match event {
        AttemptEvent::GivenUp => AttemptTransition::To(AttemptState::Abandoned),
        // Whoever could decide these held the lease, and lost it when the attempt became unknown.
        AttemptEvent::NotSent
        | AttemptEvent::Refused(_)
        | AttemptEvent::PushedBack { .. }
        | AttemptEvent::NoAnswer
        | AttemptEvent::LeaseExpired => AttemptTransition::Unchanged,
        AttemptEvent::Bound(_)
        | AttemptEvent::ResultOk(_)
        | AttemptEvent::ResultError(..)
        | AttemptEvent::ResultGone(_)
        | AttemptEvent::CancelConfirmed(..) => on_evidence(event),
    }
}

fn while_submitted(event: &AttemptEvent) -> AttemptTransition {
    match event {
        // A callback overtook our own note of the answer.
        AttemptEvent::Bound(_)
        | AttemptEvent::NotSent
        | AttemptEvent::Refused(_)
        | AttemptEvent::PushedBack { .. }
        | AttemptEvent::NoAnswer
        | AttemptEvent::LeaseExpired
        | AttemptEvent::GivenUp => AttemptTransition::Unchanged,
        AttemptEvent::ResultOk(_)
        | AttemptEvent::ResultError(..)
        | AttemptEvent::ResultGone(_)
        | AttemptEvent::CancelConfirmed(..) => on_evidence(event),
    }
}

fn once_succeeded(event: &AttemptEvent) -> AttemptTransition {
    match event {
        AttemptEvent::ResultError(..) | AttemptEvent::CancelConfirmed(..) => AttemptTransition::Conflict,
        // A result that fal forgot after we stored it, and every repeat, changes nothing.
        AttemptEvent::ResultOk(_)
        | AttemptEvent::ResultGone(_)
        | AttemptEvent::Bound(_)
        | AttemptEvent::NotSent
        | AttemptEvent::Refused(_)
        | AttemptEvent::PushedBack { .. }
        | AttemptEvent::NoAnswer
        | AttemptEvent::LeaseExpired
        | AttemptEvent::GivenUp => AttemptTransition::Unchanged,
    }
}

fn once_ended_without_result(event: &AttemptEvent, job_is_open: bool) -> AttemptTransition {
    match event {
        AttemptEvent::ResultOk(id) if job_is_open => {
            AttemptTransition::Adopted(AttemptState::Succeeded { request_id: id.clone() })
        }
        AttemptEvent::ResultOk(_) => AttemptTransition::SupersededOk,
        AttemptEvent::Bound(_)
        | AttemptEvent::ResultError(..)
        | AttemptEvent::ResultGone(_)
        | AttemptEvent::CancelConfirmed(..)
        | AttemptEvent::NotSent
        | AttemptEvent::Refused(_)
        | AttemptEvent::PushedBack { .. }
        | AttemptEvent::NoAnswer
        | AttemptEvent::LeaseExpired
        | AttemptEvent::GivenUp => AttemptTransition::Unchanged,
    }
}

/// What evidence does to an attempt that is still open.
fn on_evidence(event: &AttemptEvent) -> AttemptTransition {
    match event {
        AttemptEvent::Bound(id) => AttemptTransition::To(AttemptState::Submitted { request_id: id.clone() }),
        AttemptEvent::ResultOk(id) => AttemptTransition::To(AttemptState::Succeeded { request_id: id.clone() }),
        AttemptEvent::ResultError(_, failure) => AttemptTransition::To(AttemptState::Failed(*failure)),
        AttemptEvent::ResultGone(_) => AttemptTransition::To(AttemptState::Expired),
        AttemptEvent::CancelConfirmed(_, charged) => {
            AttemptTransition::To(AttemptState::Canceled { charged: *charged })
        }
        AttemptEvent::NotSent
        | AttemptEvent::Refused(_)
        | AttemptEvent::PushedBack { .. }
        | AttemptEvent::NoAnswer
        | AttemptEvent::LeaseExpired
        | AttemptEvent::GivenUp => AttemptTransition::Unchanged,
    }
}

fn failed(class: ErrorClass, charged: Charged) -> AttemptTransition {
    AttemptTransition::To(AttemptState::Failed(Failure { class, charged }))
}
