//! Commands of people: keys, simulator and what else acts on a running installation. Noun, then verb.

mod database;
mod exit;
mod keys;
mod output;
mod simulator;

use crate::config::{self, Config, Overrides};
use anyhow::Result;
use clap::Subcommand;
use exit::{Exit, Refusal};
use std::{path::PathBuf, process::ExitCode};

/// The nouns.
#[derive(Debug, Subcommand)]
pub(crate) enum Nouns {
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Run a fal for trying things out, with faults on demand
    Simulator(simulator::SimulatorArgs),
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
            Self::Keys(command) => command.run(&load(file)?).await,
            Self::Simulator(args) => args.run(file).await,
        }
    }
}
