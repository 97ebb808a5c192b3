//! `falconer keys`: makes, lists, rotates and revokes API keys, on the database itself.

mod create;
mod view;

use super::{
    database,
    exit::{self, Exit, Refusal},
    output::{self, Format, OutputArgs, second},
};
use crate::{config::Config, os_user, random};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use domain::KeyId;
use std::time::Duration;
use store::{
    Store,
    callbacks::Reader,
    keys::{self, KeySecret, Revoked, Rotated, Rotation},
};

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key, and print it once, alone on standard output
    #[command(after_help = "Example:\n  export FALCONER_CLIENT__KEY=$(falconer keys create --project default)")]
    Create(create::CreateArgs),
    /// List keys, without their secrets
    #[command(after_help = "Example:\n  falconer keys list --project acme -o json")]
    List {
        /// Only this project's
        #[arg(long, value_name = "NAME")]
        project: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one key, without its secret
    #[command(after_help = format!("Example:\n  falconer keys show 01990000-0000-7000-8000-000000000001\n\n{}", exit::CODES))]
    Show {
        /// The key's id, as `keys list` tells it
        id: KeyId,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Make a new secret for what a key is, print it once, and let the old one count a little longer
    #[command(after_help = format!("Example:\n  falconer keys rotate 01990000-0000-7000-8000-000000000001 --grace 1h\n\n{}", exit::CODES))]
    Rotate(RotateArgs),
    /// Revoke a key; running servers refuse it within five seconds
    #[command(after_help = format!("Example:\n  falconer keys revoke 01990000-0000-7000-8000-000000000001\n\n{}", exit::CODES))]
    Revoke {
        /// The key's id, as `keys list` tells it
        id: KeyId,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// The key's id, as `keys list` tells it
    id: KeyId,
    /// How long the old secret counts on
    #[arg(long, default_value = "24h", value_parser = humantime::parse_duration, value_name = "DURATION")]
    grace: Duration,
    /// When the new one ends to count, from now on [default: as the old one would have]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    expires_in: Option<Duration>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl KeysCommand {
    pub(crate) async fn run(self, config: &Config) -> Result<Exit> {
        match self {
            Self::Create(args) => args.run(config).await,
            Self::List { project, output } => list(&database::open(config).await?, project.as_deref(), output).await,
            Self::Show { id, output } => show(&database::open(config).await?, id, output).await,
            Self::Rotate(args) => args.run(config).await,
            Self::Revoke { id, dry_run: true, .. } => {
                output::print(&format!("would revoke the key {id}\n"));
                Ok(Exit::Done)
            }
            Self::Revoke { id, dry_run: false, output } => revoke(&database::open(config).await?, id, output).await,
        }
    }
}

impl RotateArgs {
    async fn run(self, config: &Config) -> Result<Exit> {
        let grace = humantime::format_duration(self.grace);
        if self.dry_run {
            output::print(&format!("would rotate the key {}, which would count for {grace} more\n", self.id));
            return Ok(Exit::Done);
        }
        let store = database::open(config).await?;
        let expires_at = after(&store, self.expires_in).await?;
        let rotation = Rotation { key: self.id, grace: self.grace, expires_at };
        let secret = KeySecret::of_random(&random::bytes());
        let rotated = keys::rotate(&store, Reader::Operator, &rotation, &secret, &os_user::by(), None).await;
        match rotated.context("failed to rotate the key")? {
            Rotated::Done(made) => {
                eprintln!("made {made}, whose secret is shown this once; {} counts for {grace} more", self.id);
                print_made(&store, made, &secret, self.output).await
            }
            Rotated::Refused(why) => {
                Err(Refusal::new(Exit::Refused, format!("the key {} cannot be rotated: {why}", self.id)).into())
            }
            Rotated::NotFound | Rotated::Replayed(_) | Rotated::KeyReused => Err(missing(self.id)),
        }
    }
}

async fn list(store: &Store, project: Option<&str>, output: OutputArgs) -> Result<Exit> {
    let wanted = match project {
        None => None,
        Some(name) => {
            let found = store::projects::find(store, name).await.context("failed to read the projects")?;
            Some(found.ok_or_else(|| Refusal::new(Exit::NotFound, format!("there is no project {name}")))?)
        }
    };
    let keys = keys::list(store, wanted).await.context("failed to read the keys")?;
    let items = keys.iter().map(view::json).collect::<Result<Vec<_>, _>>()?;
    let rows = keys.iter().map(view::row).collect();
    output::print(&output::many(output.format, &items, None, &view::HEADING, rows)?);
    Ok(Exit::Done)
}

async fn show(store: &Store, id: KeyId, output: OutputArgs) -> Result<Exit> {
    let key = keys::get(store, Reader::Operator, id).await.context("failed to read the key")?;
    let key = key.ok_or_else(|| missing(id))?;
    output::print(&output::one(output.format, view::json(&key)?.get(), &view::rows(&key)));
    Ok(Exit::Done)
}

async fn revoke(store: &Store, id: KeyId, output: OutputArgs) -> Result<Exit> {
    match keys::revoke(store, Reader::Operator, id, &os_user::by()).await.context("failed to revoke the key")? {
        Revoked::Done => eprintln!("revoked {id}"),
        Revoked::Already => eprintln!("{id} was revoked before"),
        Revoked::NotFound => return Err(missing(id)),
    }
    if output.format == Format::Table { Ok(Exit::Done) } else { show(store, id, output).await }
}

/// Prints a key that was just made: its secret alone to a person and to a shell, or all of it as the API answers it.
async fn print_made(store: &Store, id: KeyId, secret: &KeySecret, output: OutputArgs) -> Result<Exit> {
    if output.format == Format::Table {
        output::print(&format!("{}\n", secret.expose()));
        return Ok(Exit::Done);
    }
    let key = keys::get(store, Reader::Operator, id).await.context("failed to read the key")?;
    let key = key.ok_or_else(|| missing(id))?;
    output::print(&output::one(output.format, view::json_of_new(&key, secret)?.get(), &[]));
    Ok(Exit::Done)
}

fn missing(id: KeyId) -> anyhow::Error {
    Refusal::new(Exit::NotFound, format!("there is no key {id}")).into()
}

/// The instant that comes this long after now, by the database's clock.
async fn after(store: &Store, wait: Option<Duration>) -> Result<Option<chrono::DateTime<chrono::Utc>>> {
    let Some(wait) = wait else { return Ok(None) };
    let now = store.now().await.context("failed to read the database's time")?;
    let at = chrono::TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait));
    at.map(Some).ok_or_else(|| Refusal::usage("--expires-in", "must end within the calendar").into())
}
