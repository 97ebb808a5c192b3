//! `falconer credentials`: fal accounts and the user id that their callbacks are signed for, on the database itself.

use super::{
    database,
    exit::{self, Exit, Refusal},
    output::{self, OutputArgs},
};
use crate::config::Config;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use domain::CredentialId;
use serde_json::{json, value::to_raw_value};
use store::credentials;

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialsCommand {
    /// List fal accounts, their slots and whom their callbacks must be signed for
    #[command(after_help = "Example:\n  falconer credentials list")]
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Pin another user id, or forget the pinned one so that it is learnt afresh
    #[command(after_help = format!("Example:\n  falconer credentials repin --forget\n\n{}", exit::CODES))]
    Repin(Repin),
}

#[derive(Debug, Args)]
pub(crate) struct Repin {
    /// Which account
    #[arg(long, default_value_t = CredentialId::DEFAULT, value_name = "ID")]
    id: CredentialId,
    #[command(flatten)]
    to: To,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct To {
    /// The user id that callbacks must be signed for
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    /// Learn it afresh, from three callbacks that agree
    #[arg(long)]
    forget: bool,
}

impl CredentialsCommand {
    pub(crate) async fn run(self, config: &Config) -> Result<Exit> {
        match self {
            Self::List { output } => list(config, output).await,
            Self::Repin(repin) => repin.run(config).await,
        }
    }
}

impl Repin {
    async fn run(self, config: &Config) -> Result<Exit> {
        let user_id = self.to.user_id.as_deref();
        if user_id.is_some_and(|id| id.trim().is_empty() || id.chars().any(char::is_control)) {
            return Err(Refusal::usage("--user-id", "must not be empty or hold control characters").into());
        }
        let told = match user_id {
            Some(user_id) => format!("pin the user id {user_id} for the credential {}", self.id),
            None => format!("forget the user id of the credential {}, to be learnt afresh", self.id),
        };
        if self.dry_run {
            output::print(&format!("would {told}\n"));
            return Ok(Exit::Done);
        }
        let store = database::open(config).await?;
        if !credentials::repin(&store, self.id, user_id).await.context("failed to write the user id")? {
            return Err(Refusal::new(Exit::NotFound, format!("there is no credential {}", self.id)).into());
        }
        eprintln!("done: {told}");
        if config.fal.user_id.is_some() && config.fal.user_id.as_deref() != user_id {
            eprintln!("fal.user_id in the settings says otherwise, and is pinned again when a server starts");
        }
        Ok(Exit::Done)
    }
}

async fn list(config: &Config, output: OutputArgs) -> Result<Exit> {
    let store = database::open(config).await?;
    let all = credentials::list(&store).await.context("failed to read the credentials")?;
    let items = all
        .iter()
        .map(|one| {
            to_raw_value(&json!({
                "id": one.id, "name": one.name, "slots": one.slots, "user_id": one.user_id,
                "user_id_source": one.user_id_source,
            }))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let rows = all.into_iter().map(|one| {
        let user_id = one.user_id.unwrap_or_else(|| "not known yet".to_owned());
        vec![one.id.to_string(), one.name, one.slots.to_string(), user_id, one.user_id_source.unwrap_or_default()]
    });
    let heading = ["ID", "NAME", "SLOTS", "USER ID", "SOURCE"];
    output::print(&output::many(output.format, &items, None, &heading, rows.collect())?);
    Ok(Exit::Done)
}
