//! Stories: the real binary, a real Postgres, a simulated fal. A module for each thing that can happen to a job.

mod happy_path;
