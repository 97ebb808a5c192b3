//! The simulator as its users see it: over HTTP, with a receiver of webhooks on the other side.

#![expect(clippy::unwrap_used, reason = "the fixture is test code too; clippy only knows the test functions")]

mod callbacks;
mod ends;
mod fixture;
mod platform;
mod protocol;
mod slots;
mod submit_faults;
mod tls;
