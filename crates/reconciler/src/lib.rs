//! What never came back: asks fal about attempts whose callback is missing, resolves the unknown ones, and ends what has
//! run out of time.
//!
//! The database says which attempts are due (`queue`); `look` decides what to ask; `submitted`, `unknown` and `awaited` ask;
//! everything ends in `store::settle`, like callbacks do. Looking is level-triggered: a look needs no knowledge of why it
//! was asked for, and a missed one comes again.
//!
//! `audit` holds fal's bills against our attempts.

pub mod audit;
mod awaited;
pub mod bills;
pub mod books;
pub mod history;
pub mod look;
pub mod pace;
pub mod queue;
mod refusals;
mod submitted;
mod unknown;
mod unknown_bill;

pub use audit::{Audit, AuditSettings, Audited};
pub use bills::Bills;
pub use books::{Book, Books};
pub use history::History;
pub use look::{Looker, ReconcilerSettings, look_at};
pub use queue::LookQueue;
