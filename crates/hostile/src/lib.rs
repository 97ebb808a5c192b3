//! For development only: what must hold of every parser that strangers can reach, whatever bytes it is given.
//!
//! Each target takes bytes and panics when a property is broken. The same bodies run on stable under proptest
//! (`tests/smoke.rs`, part of every test run) and under libFuzzer (`fuzz/`), both from the seeds in `fuzz/seeds/`.
//! Left out: whatever needs a socket or a database, which the stories try in tables.
#![expect(clippy::unwrap_used, reason = "a target says by a panic that a property is broken")]

mod body;
mod endpoint;
mod jwks;
mod pages;
mod signature;
mod token;

pub use body::callback_body;
pub use endpoint::endpoint_url;
pub use jwks::jwks;
pub use pages::{cursor, idempotency};
pub use signature::callback_verify;
pub use token::callback_token;

/// Checks every property of one kind of input.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also the name of its folder of seeds.
pub const TARGETS: [(&str, Target); 7] = [
    ("callback_body", callback_body),
    ("callback_token", callback_token),
    ("callback_verify", callback_verify),
    ("cursor", cursor),
    ("endpoint_url", endpoint_url),
    ("idempotency", idempotency),
    ("jwks", jwks),
];
