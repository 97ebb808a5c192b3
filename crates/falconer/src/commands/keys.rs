//! `falconer keys`: makes, lists and revokes API keys, on the database itself.

use super::{
    database,
    exit::{self, Exit, Refusal},
    output::{self, OutputArgs, second},
};
use crate::{config::Config, random};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use domain::{KeyId, ProjectId};
use serde_json::{json, value::to_raw_value};
use std::{collections::HashMap, time::Duration};
use store::{
    Store,
    keys::{self, KeySecret, KeyView, NewKey, Scope, Scopes},
    projects,
};

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key, and print it once, alone on standard output
    #[command(after_help = "Example:\n  export FALCONER_CLIENT__KEY=$(falconer keys create --project default)")]
    Create(CreateArgs),
    /// List keys, without their secrets
    #[command(after_help = "Example:\n  falconer keys list --project acme -o json")]
    List {
        /// Only this project's
        #[arg(long, value_name = "NAME")]
        project: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Revoke a key; running servers refuse it within five seconds
    #[command(after_help = format!("Example:\n  falconer keys revoke 01990000-0000-7000-8000-000000000001\n\n{}", exit::CODES))]
    Revoke {
        /// The key's id, as `keys list` tells it
        id: KeyId,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Whose key it is; made when missing
    #[arg(long, value_name = "NAME")]
    project: String,
    /// What tells the key from others
    #[arg(long, default_value = "made by falconer keys create", value_name = "TEXT")]
    name: String,
    /// What it allows: submit, read, operate, money, admin [default: all but admin]
    #[arg(long = "scope", value_delimiter = ',', value_name = "SCOPE,…")]
    scopes: Vec<Scope>,
    /// When it ends to count, from now on
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    expires_in: Option<Duration>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl KeysCommand {
    pub(crate) async fn run(self, config: &Config) -> Result<Exit> {
        match self {
            Self::Create(args) => args.run(config).await,
            Self::List { project, output } => list(&database::open(config).await?, project.as_deref(), output).await,
            Self::Revoke { id, dry_run: true } => {
                output::print(&format!("would revoke the key {id}\n"));
                Ok(Exit::Done)
            }
            Self::Revoke { id, dry_run: false } => revoke(&database::open(config).await?, id).await,
        }
    }
}

impl CreateArgs {
    async fn run(self, config: &Config) -> Result<Exit> {
        if !projects::is_name(&self.project) {
            let rule = "must be 1 to 63 of a-z, 0-9, _ and -, a letter or digit first";
            return Err(Refusal::usage("--project", rule).into());
        }
        let scopes = if self.scopes.is_empty() { Scopes::of_project() } else { Scopes::new(self.scopes) };
        let told = format!("a key of the project {} that allows {}", self.project, scopes.names().join(", "));
        if self.dry_run {
            output::print(&format!("would make {told}\n"));
            return Ok(Exit::Done);
        }
        let store = database::open(config).await?;
        let project = projects::find_or_insert(&store, &self.project).await.context("failed to make the project")?;
        let expires_at = match self.expires_in {
            Some(after) => Some(store.now().await.context("failed to read the database's time")? + after),
            None => None,
        };
        let secret = KeySecret::of_random(&random::bytes());
        let id = keys::create(&store, &NewKey { project, name: self.name, scopes, expires_at }, &secret)
            .await
            .context("failed to store the key")?;
        output::print(&format!("{}\n", secret.expose()));
        eprintln!("made {told}; it is shown this once. `falconer keys revoke {id}` ends it.");
        Ok(Exit::Done)
    }
}

async fn list(store: &Store, project: Option<&str>, output: OutputArgs) -> Result<Exit> {
    let projects = projects::list(store).await.context("failed to read the projects")?;
    let names: HashMap<ProjectId, String> = projects.into_iter().map(|project| (project.id, project.name)).collect();
    let wanted = match project {
        None => None,
        Some(name) => {
            let found = names.iter().find(|(_, own)| own.as_str() == name).map(|(id, _)| *id);
            Some(found.ok_or_else(|| Refusal::new(Exit::NotFound, format!("there is no project {name}")))?)
        }
    };
    let keys = keys::list(store, wanted).await.context("failed to read the keys")?;
    let items = keys.iter().map(|key| to_raw_value(&as_json(key, &names))).collect::<Result<Vec<_>, _>>()?;
    let rows = keys.iter().map(|key| as_row(key, &names)).collect();
    let heading = ["ID", "PROJECT", "NAME", "KEY", "SCOPES", "CREATED", "LAST USED", "STATE"];
    output::print(&output::many(output.format, &items, None, &heading, rows)?);
    Ok(Exit::Done)
}

async fn revoke(store: &Store, id: KeyId) -> Result<Exit> {
    if !keys::revoke(store, None, id).await.context("failed to revoke the key")? {
        return Err(Refusal::new(Exit::NotFound, format!("there is no key {id} that still counts")).into());
    }
    eprintln!("revoked {id}");
    Ok(Exit::Done)
}

fn as_json(key: &KeyView, projects: &HashMap<ProjectId, String>) -> serde_json::Value {
    json!({
        "id": key.id, "project": projects.get(&key.project), "name": key.name, "prefix": key.prefix,
        "scopes": key.scopes, "created_at": key.created_at, "expires_at": key.expires_at,
        "revoked_at": key.revoked_at, "last_used_at": key.last_used_at,
    })
}

fn as_row(key: &KeyView, projects: &HashMap<ProjectId, String>) -> Vec<String> {
    let state = match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {}", second(at)),
        (None, Some(at)) => format!("until {}", second(at)),
        (None, None) => "counts".to_owned(),
    };
    vec![
        key.id.to_string(),
        projects.get(&key.project).cloned().unwrap_or_default(),
        key.name.clone(),
        format!("{}…", key.prefix),
        key.scopes.join(","),
        second(key.created_at),
        key.last_used_at.map_or_else(|| "never".to_owned(), second),
        state,
    ]
}
