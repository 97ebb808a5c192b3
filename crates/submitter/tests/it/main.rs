//! Jobs in, from a backend that shares the database: the library, `falconer.submit_job`, and that both follow one set of
//! rules.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic, also in what tests share")]

mod corpus;
mod enqueue;
mod random;
mod requests;
mod same_rules;
mod submit_job;
