//! How a job begins that Falconer does not send: its one attempt is made with it, in a state that says what is known of it.
//!
//! Such a job has one attempt and no input of its own, so nothing that happens to it ever leads back to `queued`, from
//! where it would be sent.

use crate::{AttemptState, JobState, RequestId};

/// How somebody else's request came to us.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Adoption {
    /// A callback URL was handed out. Whether anybody has sent a request with it, nobody knows until it is called.
    Minted,
    /// A request that fal has, by fal's name for it.
    Adopted { request_id: RequestId },
}

impl Adoption {
    /// Attempts that such a job has, and may ever have.
    pub const ATTEMPTS: u16 = 1;

    /// The name in SQL and in the log of transitions.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Minted => "minted",
            Self::Adopted { .. } => "adopted",
        }
    }

    /// Where the job begins.
    pub const fn job(&self) -> JobState {
        JobState::Running
    }

    /// Where its attempt begins.
    pub fn attempt(&self) -> AttemptState {
        match self {
            Self::Minted => AttemptState::Unknown,
            Self::Adopted { request_id } => AttemptState::Submitted { request_id: request_id.clone() },
        }
    }

    /// fal's name for the attempt, where it is known.
    pub const fn request_id(&self) -> Option<&RequestId> {
        match self {
            Self::Minted => None,
            Self::Adopted { request_id } => Some(request_id),
        }
    }
}
