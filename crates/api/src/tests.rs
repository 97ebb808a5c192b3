//! The API against a real database, called without a socket.

mod callbacks;
mod jobs;
mod parsing;
mod problems;
mod serving;
mod world;
