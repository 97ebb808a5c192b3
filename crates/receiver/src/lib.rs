//! Callbacks in: the public listener that fal calls.
//!
//! In this order, each step cheaper than the next: path and token (no database before the token's MAC is right), size,
//! headers, Ed25519 over the raw bytes; then one transaction that stores the bytes and settles the attempt; then the
//! answer. Never a 2xx before COMMIT, and 503 whenever something cannot be checked or stored, since fal comes again.

mod budget;
pub mod ingest;
pub mod keys;
pub mod listener;
mod meaning;
mod patience;
mod rejections;
pub mod reprocess;
mod seats;
mod throttle;
mod verified;
mod whole;

pub use budget::Budget;
pub use ingest::{Receiver, router};
pub use listener::{Limits, serve};
pub use rejections::Rejections;
pub use verified::VerifiedCallback;
pub use whole::{WholeError, read_whole};
