//! For development only: a whole Falconer as a test sees it, and the checks that hold after every run.
//!
//! [`World`] starts the real binary as a child process on a database of its own, with a simulated fal beside it, and is
//! spoken to over HTTP, by signals and by the database's clock. [`invariants`] are the queries that must return nothing,
//! and [`truth`] compares the database with what the simulator knows to have happened. Left out: brokers, subscribers, and
//! the unit tests' own fixtures, which live beside what they test.
//!
//! What cannot work in a test panics and says why; nothing here is for production.

mod database;
pub mod invariants;
mod own_postgres;
mod ports;
mod server;
pub mod truth;
pub mod wait;
mod world;

pub use database::Database;
pub use own_postgres::OwnPostgres;
pub use server::Server;
pub use world::{
    Answer, CALLBACK_SECRET, CallbackId, FAL_KEY, Finding, JobId, World, WorldBuilder, error_body, http_client,
    make_key, ok_body, quick_runs,
};
