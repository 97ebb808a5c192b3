//! `falconer profiles`: the servers that the settings name. Keys are never shown.

use super::{
    exit::{Exit, Refusal},
    output::{self, OutputArgs},
};
use crate::config::{Config, KeySource, ProfileConfig};
use anyhow::Result;
use clap::Subcommand;
use serde_json::{json, value::to_raw_value};

#[derive(Debug, Subcommand)]
pub(crate) enum ProfilesCommand {
    /// List the profiles, where their keys are, and which one is asked
    #[command(after_help = "Example:\n  falconer profiles list\n\n\
        Profiles are named in ~/.config/falconer/falconer.toml or in falconer.toml:\n  \
        [profiles.staging]\n  url = \"https://staging.example.com\"\n  key_file = \"~/.config/falconer/staging.key\"\n\n\
        One is chosen by --profile, FALCONER_CLIENT__PROFILE, or `profile` in the section [client].")]
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
}

impl ProfilesCommand {
    pub(crate) fn run(self, config: &Config) -> Result<Exit> {
        let Self::List { output } = self;
        let in_force = config.client.profile_in_force();
        let items = config
            .profiles
            .iter()
            .map(|(name, profile)| {
                let (kind, path) = kept(profile);
                to_raw_value(&json!({
                    "name": name, "url": profile.url, "key": kind, "key_file": path,
                    "in_force": in_force == Some(name.as_str()),
                }))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let rows = config.profiles.iter().map(|(name, profile)| {
            let (kind, path) = kept(profile);
            let chosen = if in_force == Some(name.as_str()) { "yes" } else { "" };
            vec![name.clone(), profile.url.to_string(), path.unwrap_or_else(|| kind.to_owned()), chosen.to_owned()]
        });
        let heading = ["NAME", "URL", "KEY", "IN FORCE"];
        output::print(&output::many(output.format, &items, None, &heading, rows.collect())?);
        if config.profiles.is_empty() {
            eprintln!("the settings name no profile: `falconer profiles list --help` tells how");
        }
        // What every other command would refuse is better seen here.
        config.client.server(&config.profiles).map_err(|error| Refusal::usage("--profile", error))?;
        Ok(Exit::Done)
    }
}

/// Where a profile's key is, and in which file if in one of its own.
fn kept(profile: &ProfileConfig) -> (&'static str, Option<String>) {
    match profile.key_source(None) {
        Some(KeySource::File(path)) => ("file", Some(path.display().to_string())),
        Some(KeySource::Settings(_) | KeySource::Environment(_)) => ("in the settings", None),
        None => ("none", None),
    }
}
