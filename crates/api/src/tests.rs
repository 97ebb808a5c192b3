//! The API against a real database, called without a socket.

mod adopt;
mod batches;
mod callbacks;
mod events;
mod jobs;
mod keys;
mod openapi;
mod parsing;
mod payloads;
mod problems;
mod replays;
mod serving;
mod world;
