//! What Falconer is about, and nothing of how it is done: ids, states, transitions, retry policy, deadlines.
//!
//! This crate has no I/O, no runtime and no clock. Whoever calls it passes the time and the dice in.
//! Read [`attempt`] and [`job`] for the two state machines, [`lifecycle`] for how they move together, and [`table`] for
//! all their edges as data.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod adoption;
pub mod attempt;
pub mod deadlines;
pub mod dice;
pub mod error_class;
pub mod ids;
pub mod job;
pub mod lifecycle;
pub mod retry;
pub mod sealing;
pub mod table;
#[cfg(test)]
mod tests;
pub mod token;

pub use adoption::Adoption;
pub use attempt::{Attempt, AttemptEvent, AttemptState, AttemptTransition, Charged, Failure, RequestId};
pub use deadlines::Timeouts;
pub use dice::Dice;
pub use error_class::ErrorClass;
pub use ids::{AttemptId, CallbackId, ConsumerId, CredentialId, EventId, JobId, KeyId, ProjectId};
pub use job::{Job, JobEvent, JobState, JobTransition, OnUnknown, Priority};
pub use lifecycle::{Late, Lifecycle, Recorded, Resolution, Unresolvable};
pub use retry::RetryPolicy;
pub use token::TokenKeys;
