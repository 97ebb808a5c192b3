//! Stories: the real binary, a real Postgres, a simulated fal. A module for each thing that can happen to a job.

mod accepting;
mod architecture;
mod bytes_through;
mod callback_records;
mod callbacks_in;
mod callbacks_odd;
mod cancel;
mod checks_can_fail;
mod clients;
mod crashes;
mod happy_path;
mod input_rules;
mod postgres_away;
mod refusals;
mod replay;
mod schedule;
mod signing_keys;
mod silence;
mod stale_decisions;
mod storm;
mod unknown_outcome;
