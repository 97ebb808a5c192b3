//! Commands of people. Noun, then verb. Jobs, callbacks and orphan charges go over REST; keys, projects, credentials, the audit log and doctor ask the database.

mod adopt;
mod audit;
mod callbacks;
mod client;
mod completions;
mod credentials;
mod database;
mod doctor;
mod events;
mod exit;
mod jobs;
mod keys;
mod orphans;
mod output;
mod paging;
mod problem;
mod profiles;
mod projects;
mod simulator;

pub(crate) use exit::CODES as EXIT_CODES;

use crate::config;
use anyhow::Result;
use clap::Subcommand;
use exit::{Exit, Refusal};
use std::{path::PathBuf, process::ExitCode};

/// The nouns.
#[derive(Debug, Subcommand)]
pub(crate) enum Nouns {
    /// Hand in jobs, look at them, wait for them, change them
    #[command(
        after_help = "Example:\n  falconer jobs submit --model fal-ai/flux/dev --input '{\"prompt\":\"an owl\"}' --wait"
    )]
    Jobs(Box<jobs::JobsArgs>),
    /// Read what happened, in order, and acknowledge it
    #[command(after_help = "Example:\n  falconer events tail --consumer web")]
    Events(Box<events::EventsArgs>),
    /// Mint URLs at which fal calls about requests that somebody else sends
    #[command(after_help = "Example:\n  falconer callback-urls create --model fal-ai/flux/dev")]
    CallbackUrls(Box<adopt::CallbackUrlsArgs>),
    /// Look at what fal sent, check it, process it again
    #[command(after_help = "Example:\n  falconer callbacks list --disposition rejected")]
    Callbacks(Box<callbacks::CallbacksArgs>),
    /// Look at what fal billed and no attempt explains
    #[command(after_help = "Example:\n  falconer orphans list --state open")]
    Orphans(Box<orphans::OrphansArgs>),
    /// Add and change fal accounts, and pin whom their callbacks must be signed for
    #[command(subcommand, after_help = "Example:\n  falconer credentials list")]
    Credentials(credentials::CredentialsCommand),
    /// Make, list, rotate and revoke API keys
    #[command(subcommand, after_help = "Example:\n  falconer keys create --project default")]
    Keys(keys::KeysCommand),
    /// Make projects, and look at them
    #[command(subcommand, after_help = "Example:\n  falconer projects list")]
    Projects(projects::ProjectsCommand),
    /// Look at what operators did
    #[command(subcommand, after_help = "Example:\n  falconer audit list")]
    Audit(audit::AuditCommand),
    /// Look at the servers that the settings name
    #[command(subcommand, after_help = "Example:\n  falconer profiles list")]
    Profiles(profiles::ProfilesCommand),
    /// Print what lets a shell complete commands and flags
    Completions(completions::CompletionsArgs),
    /// Check the installation, and tell what to do where it is not in order
    Doctor(doctor::DoctorArgs),
    /// Run a fal for trying things out, with faults on demand
    Simulator(Box<simulator::SimulatorArgs>),
}

impl Nouns {
    pub(crate) async fn run(self, file: Option<PathBuf>, profile: Option<String>) -> Result<ExitCode> {
        match self.dispatch(file, profile).await {
            Ok(exit) => Ok(exit.into()),
            Err(error) => match error.downcast::<Refusal>() {
                Ok(refusal) => {
                    for line in refusal.lines {
                        eprintln!("{line}");
                    }
                    Ok(refusal.exit.into())
                }
                Err(error) => Err(error),
            },
        }
    }

    async fn dispatch(self, file: Option<PathBuf>, profile: Option<String>) -> Result<Exit> {
        let load = |file: Option<PathBuf>| config::load_for_client(file, profile);
        match self {
            Self::Jobs(args) => args.run(&load(file)?).await,
            Self::Events(args) => args.run(&load(file)?).await,
            Self::CallbackUrls(args) => args.run(&load(file)?).await,
            Self::Callbacks(args) => args.run(&load(file)?).await,
            Self::Orphans(args) => args.run(&load(file)?).await,
            Self::Credentials(command) => command.run(&load(file)?).await,
            Self::Keys(command) => command.run(&load(file)?).await,
            Self::Projects(command) => command.run(&load(file)?).await,
            Self::Audit(command) => command.run(&load(file)?).await,
            Self::Profiles(command) => command.run(&load(file)?),
            Self::Completions(args) => Ok(args.run()),
            Self::Doctor(args) => args.run(file).await,
            Self::Simulator(args) => args.run(file).await,
        }
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
