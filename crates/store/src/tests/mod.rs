//! What holds for the whole crate: the schema, its constraints, the log of transitions, and any order of events.

mod constraints;
pub(crate) mod fixture;
pub(crate) mod invariants;
mod random;
mod schema;
mod statements;
