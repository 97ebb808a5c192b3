//! Small models of what may go wrong around one job, checked in every order in which it can go wrong.
//!
//! The step of the system is `domain`'s own: [`store`] asks [`domain::Lifecycle`] what an event does, under the guards that
//! the store has, and writes beside it what the store writes. The rest is the world: fal's runs, calls that are lost,
//! doubled or late, crashes, leases that end, wishes. A [`setup::Broken`] builds one mistake in, which must be found.
//!
//! Left out: time (what waits for a time may happen whenever the world allows it), several jobs, several credentials,
//! and everything that a single job's rows do not show.

mod db;
mod fal;
pub mod leases;
pub mod protocol;
pub mod setup;
pub mod store;
