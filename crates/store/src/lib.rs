//! Postgres: every SQL statement and every transaction of Falconer.
//!
//! One public function is one transaction, except where a caller brings its own ([`accept::insert`]). The path of a job
//! through this crate: [`accept`] → [`claim`] → [`settle`] ← [`looks`], and [`sweeps`] for what only time moves.
//! Nothing here talks to fal.

pub mod accept;
pub mod adopt;
pub mod apalis_queue;
pub mod audit;
pub mod batch;
pub mod bench;
pub mod callbacks;
pub mod circuits;
pub mod claim;
pub mod credentials;
pub mod error;
pub mod events;
mod fresh_id;
pub mod health;
pub mod jobs;
pub mod key_sets;
pub mod keys;
pub mod lanes;
pub mod log_limit;
pub mod looks;
pub mod migrate;
pub mod model_stats;
pub mod orphans;
mod page;
pub mod pools;
pub mod prices;
pub mod projects;
pub mod rejected;
pub mod report;
pub mod retention;
pub mod settle;
pub mod sweeps;
#[cfg(test)]
mod tests;
pub mod wake;

pub use error::Error;
pub use fresh_id::fresh_id;
pub use migrate::MIGRATOR;
pub use page::Page;
pub use pools::{PoolSizes, Pools, Store};
