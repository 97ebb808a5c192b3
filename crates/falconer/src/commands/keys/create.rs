//! `falconer keys create`.

use super::{Exit, OutputArgs, Refusal, after, database, output, print_made};
use crate::{config::Config, os_user, random};
use anyhow::{Context, Result};
use clap::Args;
use std::{num::NonZeroU32, time::Duration};
use store::{
    keys::{self, KeySecret, NewKey, Payloads, Rate, Scope, Scopes},
    projects,
};

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
    /// Withhold inputs, metadata, results, callbacks and fal's words from it
    #[arg(long)]
    hide_payloads: bool,
    /// Requests in a second, for each server process [default: `api.rate_per_second`]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate_per_second: Option<u32>,
    /// Requests at once after a pause [default: as many as in a second]
    #[arg(long, requires = "rate_per_second", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    burst: Option<u32>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl CreateArgs {
    pub(super) async fn run(self, config: &Config) -> Result<Exit> {
        if !projects::is_name(&self.project) {
            let rule = "must be 1 to 63 of a-z, 0-9, _ and -, a letter or digit first";
            return Err(Refusal::usage("--project", rule).into());
        }
        let scopes = self.scopes();
        let told = format!("a key of the project {} that allows {}", self.project, scopes.names().join(", "));
        if self.dry_run {
            output::print(&format!("would make {told}\n"));
            return Ok(Exit::Done);
        }
        let (store, by) = (database::open(config).await?, os_user::by());
        let project =
            projects::find_or_create(&store, &self.project, &by).await.context("failed to make the project")?;
        let payloads = if self.hide_payloads { Payloads::Hidden } else { Payloads::Visible };
        let rate = self.rate();
        let expires_at = after(&store, self.expires_in).await?;
        let key = NewKey { project, name: self.name, scopes, expires_at, payloads, rate };
        let secret = KeySecret::of_random(&random::bytes());
        let id = keys::create(&store, &key, &secret, &by).await.context("failed to store the key")?;
        eprintln!("made {told}; it is shown this once. `falconer keys revoke {id}` ends it.");
        print_made(&store, id, &secret, self.output).await
    }

    fn scopes(&self) -> Scopes {
        if self.scopes.is_empty() { Scopes::of_project() } else { Scopes::new(self.scopes.iter().copied()) }
    }

    fn rate(&self) -> Option<Rate> {
        let per_second = NonZeroU32::new(self.rate_per_second?)?;
        Some(Rate { per_second, burst: self.burst.and_then(NonZeroU32::new) })
    }
}
