//! Commands of people. Noun, then verb. Jobs, callbacks and orphan charges go over REST; keys, credentials and doctor ask the database.

mod callbacks;
mod client;
mod credentials;
mod database;
mod doctor;
mod exit;
mod jobs;
mod keys;
mod orphans;
mod output;
mod paging;
mod problem;
mod simulator;

pub(crate) use exit::CODES as EXIT_CODES;

use crate::config::{self, Config, Overrides};
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
    /// Look at what fal sent, check it, process it again
    #[command(after_help = "Example:\n  falconer callbacks list --disposition rejected")]
    Callbacks(Box<callbacks::CallbacksArgs>),
    /// Look at what fal billed and no attempt explains
    #[command(after_help = "Example:\n  falconer orphans list --state open")]
    Orphans(Box<orphans::OrphansArgs>),
    /// Look at fal accounts, and pin whom their callbacks must be signed for
    #[command(subcommand, after_help = "Example:\n  falconer credentials list")]
    Credentials(credentials::CredentialsCommand),
    /// Make, list and revoke API keys
    #[command(subcommand, after_help = "Example:\n  falconer keys create --project default")]
    Keys(keys::KeysCommand),
    /// Check the installation, and tell what to do where it is not in order
    Doctor(doctor::DoctorArgs),
    /// Run a fal for trying things out, with faults on demand
    Simulator(Box<simulator::SimulatorArgs>),
}

impl Nouns {
    pub(crate) async fn run(self, file: Option<PathBuf>) -> Result<ExitCode> {
        match self.dispatch(file).await {
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

    async fn dispatch(self, file: Option<PathBuf>) -> Result<Exit> {
        let load = |file: Option<PathBuf>| -> Result<Config> { config::load(file, &Overrides::new()) };
        match self {
            Self::Jobs(args) => args.run(&load(file)?).await,
            Self::Callbacks(args) => args.run(&load(file)?).await,
            Self::Orphans(args) => args.run(&load(file)?).await,
            Self::Credentials(command) => command.run(&load(file)?).await,
            Self::Keys(command) => command.run(&load(file)?).await,
            Self::Doctor(args) => args.run(file).await,
            Self::Simulator(args) => args.run(file).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    fn walk(command: &Command, path: &str, check: &mut impl FnMut(&str, &Command)) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            check(&path, sub);
            walk(sub, &path, check);
        }
    }

    #[test]
    fn every_help_ends_with_an_example_that_can_be_typed() {
        let tree = Nouns::augment_subcommands(Command::new("falconer"));
        tree.clone().debug_assert();
        let mut seen = 0;
        walk(&tree, "falconer", &mut |path, command| {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = help.strip_prefix("Example:\n  ").and_then(|rest| rest.lines().next());
            assert!(example.is_some_and(|example| example.contains(path)), "{path}: {help}");
            seen += 1;
        });
        assert!(seen > 20, "{seen}");
    }
}
