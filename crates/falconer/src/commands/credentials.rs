//! `falconer credentials`: fal accounts, their sealed keys and the user id that their callbacks are signed for, on the
//! database itself.

mod changes;
mod key_input;
mod view;

use super::{
    database,
    exit::{self, Exit, Refusal},
    output::{self, Format, OutputArgs},
};
use crate::{config::Config, os_user};
use anyhow::{Context, Result};
use changes::{AssignArgs, CreateArgs, RotateArgs, SlotsArgs, StateArgs};
use clap::{Args, Subcommand};
use domain::CredentialId;
use store::{
    Store,
    credentials::{self, Credential},
};

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialsCommand {
    /// List fal accounts, their slots and whom their callbacks must be signed for
    #[command(after_help = "Example:\n  falconer credentials list")]
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one fal account; never its key
    #[command(after_help = format!("Example:\n  falconer credentials show studio -o json\n\n{}", exit::CODES))]
    Show {
        /// Which account: its id or its name
        credential: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Add a fal account, with its key from standard input or a prompt
    #[command(after_help = format!(
        "Example:\n  falconer credentials create --name studio --slots 10 --project acme < fal.key\n\n{}", exit::CODES
    ))]
    Create(CreateArgs),
    /// Exchange the key of an account, with the new one from standard input or a prompt
    #[command(after_help = format!("Example:\n  falconer credentials rotate studio < fal.key\n\n{}", exit::CODES))]
    Rotate(RotateArgs),
    /// Say how many runs an account allows at once
    #[command(after_help = format!("Example:\n  falconer credentials set-slots studio 20\n\n{}", exit::CODES))]
    SetSlots(SlotsArgs),
    /// Send nothing more for an account; its jobs wait
    #[command(after_help = format!("Example:\n  falconer credentials disable studio\n\n{}", exit::CODES))]
    Disable(StateArgs),
    /// Send for a disabled account again
    #[command(after_help = format!("Example:\n  falconer credentials enable studio\n\n{}", exit::CODES))]
    Enable(StateArgs),
    /// Let an account pay for a project's new jobs
    #[command(after_help = format!("Example:\n  falconer credentials assign studio --project acme\n\n{}", exit::CODES))]
    Assign(AssignArgs),
    /// Pin another user id, or forget the pinned one so that it is learnt afresh
    #[command(after_help = format!("Example:\n  falconer credentials repin --forget\n\n{}", exit::CODES))]
    Repin(Repin),
    /// Seal every key anew with the first secret of `FALCONER_SECRET`
    #[command(after_help = format!("Example:\n  falconer credentials reseal\n\n{}", exit::CODES))]
    Reseal {
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Repin {
    /// Which account: its id or its name
    #[arg(long, default_value = "default", value_name = "ID|NAME")]
    id: String,
    #[command(flatten)]
    to: To,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
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
            Self::List { output } => view::list(&database::open(config).await?, output).await,
            Self::Show { credential, output } => {
                let store = database::open(config).await?;
                view::show(&store, &find(&store, &credential).await?, output).await
            }
            Self::Create(args) => args.run(config).await,
            Self::Rotate(args) => args.run(config).await,
            Self::SetSlots(args) => args.run(config).await,
            Self::Disable(args) => args.run(config, false).await,
            Self::Enable(args) => args.run(config, true).await,
            Self::Assign(args) => args.run(config).await,
            Self::Repin(repin) => repin.run(config).await,
            Self::Reseal { output } => changes::reseal(config, output).await,
        }
    }
}

impl Repin {
    async fn run(self, config: &Config) -> Result<Exit> {
        let user_id = self.to.user_id.as_deref();
        if let Some(user_id) = user_id {
            check_user_id(user_id)?;
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
        let credential = find(&store, &self.id).await?;
        if !credentials::repin(&store, credential.id, user_id, &os_user::by())
            .await
            .context("failed to write the user id")?
        {
            return Err(missing(&self.id).into());
        }
        eprintln!("done: {told}");
        let is_default = credential.id == CredentialId::DEFAULT;
        if is_default && config.fal.user_id.is_some() && config.fal.user_id.as_deref() != user_id {
            eprintln!("fal.user_id in the settings says otherwise, and is pinned again when a server starts");
        }
        if self.output.format == Format::Table {
            return Ok(Exit::Done);
        }
        view::show(&store, &find(&store, &credential.id.to_string()).await?, self.output).await
    }
}

/// Finds an account by its id, or by its name where only one is called so.
async fn find(store: &Store, wanted: &str) -> Result<Credential> {
    let all = credentials::list(store).await.context("failed to read the credentials")?;
    let id: Option<CredentialId> = wanted.parse().ok();
    let mut found = all.into_iter().filter(|one| Some(one.id) == id || one.name == wanted);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => {
            let line = format!("several projects have a credential {wanted}: name it by its id");
            Err(Refusal::new(Exit::Refused, line).into())
        }
        (None, _) => Err(missing(wanted).into()),
    }
}

fn missing(wanted: &str) -> Refusal {
    Refusal::new(Exit::NotFound, format!("there is no credential {wanted}"))
}

fn check_user_id(user_id: &str) -> Result<()> {
    if user_id.trim().is_empty() || user_id.len() > 200 || user_id.chars().any(char::is_control) {
        let rule = "must have 1 to 200 characters, none of them control characters";
        return Err(Refusal::usage("--user-id", rule).into());
    }
    Ok(())
}
