//! The API against a real database, called without a socket.

mod adopt;
mod callbacks;
mod events;
mod jobs;
mod keys;
mod openapi;
mod parsing;
mod payloads;
mod problems;
mod serving;
mod world;
