//! Falconer: fires fal.ai generation jobs and brings every result home.

mod bench;
mod cli;
mod commands;
mod config;
mod demo;
mod dev;
mod durations;
mod logging;
mod os_user;
mod random;
mod serve;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Two TLS providers could be in the dependency graph one day; ours is said once, before any client is built.
    let installed = rustls::crypto::ring::default_provider().install_default();
    debug_assert!(installed.is_ok(), "nothing installs a provider before main");
    cli::run(cli::Cli::parse())
}
