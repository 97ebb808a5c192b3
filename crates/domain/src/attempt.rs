//! One try to have fal do a job: its states, and what may happen to it. [`Attempt::apply`] decides what becomes of it.
//!
//! Two kinds of events meet here. *Evidence* is what fal said: it counts whoever brings it and however late.
//! *Decisions* are ours, made for want of evidence; the store lets them in only from whoever holds the lease.

mod transitions;

use crate::{AttemptId, ErrorClass};
use serde::{Deserialize, Serialize};

/// fal's name for an attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub String);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether fal bills an attempt that brought no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charged {
    No,
    /// fal may have spent machine time before it refused: its bill decides.
    Perhaps,
    Yes,
}

/// How an attempt failed, and whether it cost money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failure {
    pub class: ErrorClass,
    pub charged: Charged,
}

/// Where an attempt stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AttemptState {
    /// Committed before the first byte leaves; held by a lease until the answer is recorded.
    Submitting,
    /// fal may or may not be running it: no answer, or one that proves nothing.
    Unknown,
    /// fal gave us its request id.
    Submitted {
        request_id: RequestId,
    },
    Succeeded {
        request_id: RequestId,
    },
    Failed(Failure),
    /// fal confirmed the end.
    Canceled {
        charged: Charged,
    },
    /// Nothing was found for so long that nothing will be.
    Abandoned,
    /// The run finished, and its result is gone.
    Expired,
}

/// What may happen to an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AttemptEvent {
    /// Decision: provably no byte of the request left.
    NotSent,
    /// Decision: fal refused the request itself.
    Refused(Failure),
    /// Decision: fal took nothing because of us, not because of the request (429, 401, 402, 403).
    PushedBack { class: ErrorClass },
    /// Decision: the request left and no usable answer came.
    NoAnswer,
    /// Decision: whoever was submitting it is gone.
    LeaseExpired,
    /// Decision: nothing was found within `abandon_after`.
    GivenUp,
    /// Evidence: fal's request id, from its answer, a callback or its history.
    Bound(RequestId),
    /// Evidence: the result is in hand.
    ResultOk(RequestId),
    /// Evidence: fal reports a failed run.
    ResultError(RequestId, Failure),
    /// Evidence: fal reports a finished run whose result it no longer holds.
    ResultGone(RequestId),
    /// Evidence: fal confirms that it stopped, or never started.
    CancelConfirmed(RequestId, Charged),
}

/// What an event does to an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AttemptTransition {
    /// A repeat, a decision that came too late, or evidence that tells no more than fal's name for the attempt.
    Unchanged,
    To(AttemptState),
    /// A good result for an attempt that had ended otherwise, while its job is still open.
    Adopted(AttemptState),
    /// A good result that nobody waits for: noted and paid, nothing else.
    SupersededOk,
    /// Evidence against what is recorded: another request id, or an error after a result.
    Conflict,
}

/// An attempt as its transitions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub id: AttemptId,
    /// Counts from 1 within the job.
    pub number: u16,
    pub state: AttemptState,
    /// Whether it uses up one of the job's attempts.
    pub counted: bool,
    /// Whether a newer attempt, or the end of the job, has taken its place.
    pub superseded: bool,
    /// Kept beside the state, since failed and expired attempts have one too.
    pub request_id: Option<RequestId>,
    /// Rises by one with every change.
    pub version: i32,
}

impl AttemptState {
    /// The name in SQL, in the API and in logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Submitting => "submitting",
            Self::Unknown => "unknown",
            Self::Submitted { .. } => "submitted",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed(_) => "failed",
            Self::Canceled { .. } => "canceled",
            Self::Abandoned => "abandoned",
            Self::Expired => "expired",
        }
    }

    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::Submitting | Self::Unknown | Self::Submitted { .. } => false,
            Self::Succeeded { .. } | Self::Failed(_) | Self::Canceled { .. } | Self::Abandoned | Self::Expired => true,
        }
    }
}

impl AttemptEvent {
    /// The name in the log of transitions.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::Refused(_) => "refused",
            Self::PushedBack { .. } => "pushed_back",
            Self::NoAnswer => "no_answer",
            Self::LeaseExpired => "lease_expired",
            Self::GivenUp => "given_up",
            Self::Bound(_) => "bound",
            Self::ResultOk(_) => "result_ok",
            Self::ResultError(..) => "result_error",
            Self::ResultGone(_) => "result_gone",
            Self::CancelConfirmed(..) => "cancel_confirmed",
        }
    }

    /// fal's name for the attempt, where the event carries one. Only evidence does.
    pub const fn request_id(&self) -> Option<&RequestId> {
        match self {
            Self::Bound(id)
            | Self::ResultOk(id)
            | Self::ResultError(id, _)
            | Self::ResultGone(id)
            | Self::CancelConfirmed(id, _) => Some(id),
            Self::NotSent
            | Self::Refused(_)
            | Self::PushedBack { .. }
            | Self::NoAnswer
            | Self::LeaseExpired
            | Self::GivenUp => None,
        }
    }

    /// Whether the event takes back the count made at the claim: fal took nothing, so no try was used.
    pub const fn takes_back_the_count(&self) -> bool {
        matches!(self, Self::NotSent | Self::PushedBack { .. })
    }
}
