//! What never came back: asks fal about attempts whose callback is missing, resolves the unknown ones, and ends what has
//! run out of time.
//!
//! The database says which attempts are due (`queue`); `look` decides what to ask; `submitted` and `unknown` ask;
//! everything ends in `store::settle`, like callbacks do. Looking is level-triggered: a look needs no knowledge of why it
//! was asked for, and a missed one comes again.

pub mod look;
pub mod pace;
pub mod queue;
mod submitted;
mod unknown;

pub use look::{Reconciler, ReconcilerSettings, look_at};
pub use queue::LookQueue;
