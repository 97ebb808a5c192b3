//! The command line: noun, then verb.

use crate::{
    bench::BenchArgs,
    commands::{EXIT_CODES, Nouns},
    config::{self, Config, Overrides},
    demo::DemoArgs,
    dev::DevArgs,
    logging,
    serve::{self, Role, Roles},
};
use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};
use tokio_util::sync::CancellationToken;

/// Fires fal.ai generation jobs and brings every result home.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 110, after_help = format!("Example:\n  falconer dev\n\n{EXIT_CODES}"))]
pub(crate) struct Cli {
    /// The configuration file [default: `FALCONER_CONFIG`, then ./falconer.toml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which of the servers that the settings name is asked [default: client.profile]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Server")]
    profile: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: every role, or those that are named
    #[command(after_help = "Example:\n  falconer serve --roles api,receiver")]
    Serve {
        /// Roles of this process
        #[arg(long, value_delimiter = ',', value_name = "ROLE,…")]
        roles: Vec<Role>,
    },
    /// Bring the database to this release's schema
    #[command(after_help = "Example:\n  DATABASE_URL=postgres://falconer@localhost/falconer falconer migrate")]
    Migrate,
    /// Show or write settings
    #[command(subcommand, after_help = "Example:\n  falconer config default > falconer.toml")]
    Config(ConfigCommand),
    /// Run everything on this machine, database included
    Dev(DevArgs),
    /// Watch jobs come home although a third of the callback tries are lost
    Demo(DemoArgs),
    /// Measure this machine
    Bench(BenchArgs),
    #[command(flatten)]
    Nouns(Nouns),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the commented default configuration
    #[command(after_help = "Example:\n  falconer config default > falconer.toml")]
    Default,
    /// Print the settings in force, without secrets
    #[command(after_help = "Example:\n  falconer config show")]
    Show,
}

/// Runs a command. Exit codes: 0 done, 1 failed, 2 wrong usage.
pub(crate) fn run(cli: Cli) -> ExitCode {
    // The demo draws on the terminal, and so logs into a file.
    if !matches!(cli.command, Command::Demo(_)) {
        logging::start();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("falconer: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli.dispatch()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("falconer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    async fn dispatch(self) -> Result<ExitCode> {
        let load = || config::load(self.config.clone(), &Overrides::new());
        match self.command {
            Command::Serve { roles } => {
                let (roles, config) = (Roles::of(&roles)?, load()?);
                eprintln!("{}", config::redacted(&config));
                serve::run(config, &roles, CancellationToken::new()).await?;
            }
            Command::Migrate => migrate(&load()?).await?,
            Command::Config(ConfigCommand::Default) => print(config::DEFAULT),
            Command::Config(ConfigCommand::Show) => print(&config::redacted(&load()?)),
            Command::Dev(args) => return args.run(self.config).await,
            Command::Demo(args) => return args.run(self.config).await,
            Command::Bench(args) => return args.run(self.config).await,
            Command::Nouns(noun) => return noun.run(self.config, self.profile).await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn migrate(config: &Config) -> Result<()> {
    let mut connection = serve::connect(config).await?;
    store::migrate::run(&mut connection).await.context("failed to migrate")?;
    eprintln!("the schema is current");
    Ok(())
}

/// Writes a command's answer to standard output. A reader who has gone away is no error.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
