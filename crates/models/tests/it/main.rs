//! Checks every variant of the models. `cargo test -p falconer-models -- --nocapture` prints the table: variant, states,
//! depth, seconds, and which properties fail how.

mod cancel;
mod leases;
mod protocol;
mod table;
