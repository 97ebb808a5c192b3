//! Stories: the real binary, a real Postgres, a simulated fal. A module for each thing that can happen to a job.

mod accepting;
mod architecture;
mod bytes_through;
mod callback_records;
mod callbacks_in;
mod cancel;
mod clients;
mod crashes;
mod happy_path;
mod refusals;
mod schedule;
mod silence;
mod unknown_outcome;
