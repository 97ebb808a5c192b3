//! The front desk: REST under `/v1`.
//!
//! Handlers understand a request, ask the store or the submitter, and answer. They know no SQL and no state machine.
//! [`problem`] is the closed set of what may go wrong, [`auth`] says who calls; everything of another project is
//! answered as if it were not there.

pub mod adopt;
mod audit;
pub mod auth;
mod body;
mod callbacks;
pub mod credentials;
pub mod cursor;
mod events;
pub mod idempotency;
mod jobs;
mod keys;
mod members;
pub mod openapi;
mod orphans;
mod path;
pub mod problem;
mod projects;
mod query;
pub mod rate;
mod routes;
pub mod state;
pub mod streams;
#[cfg(test)]
mod tests;

pub use adopt::AdoptSettings;
pub use problem::{Problem, ProblemKind};
pub use routes::{router, serve};
pub use state::{ApiLimits, ApiState};
