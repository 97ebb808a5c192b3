//! Changes of fal accounts. Running servers take them over within five seconds.

use super::{
    super::{
        database,
        exit::{Exit, Refusal},
        output::{self, Format, OutputArgs},
    },
    check_user_id, find, key_input, missing, view,
};
use crate::{config::Config, os_user, serve};
use anyhow::{Context, Result};
use clap::Args;
use domain::CredentialId;
use serde_json::json;
use std::num::NonZeroU32;
use store::{
    Store,
    credentials::{self, Assigned, NewCredential},
    projects,
};

const FAILED: &str = "failed to write the credential";
const SLOTS_MAX: u32 = 100_000;

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// What it is called: 1 to 63 of a-z, 0-9, _ and -, a letter or digit first
    #[arg(long, value_name = "NAME")]
    name: String,
    /// How many runs the account allows at once
    #[arg(long, default_value = "2", value_name = "COUNT")]
    slots: NonZeroU32,
    /// The user id that its callbacks must be signed for [default: learnt from the first three that agree]
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    /// Whose account it is: no other project sees it, and it pays for this one's new jobs
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// Which account: its id or its name
    credential: String,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SlotsArgs {
    /// Which account: its id or its name
    credential: String,
    /// How many runs it allows at once
    slots: NonZeroU32,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// Which account: its id or its name
    credential: String,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AssignArgs {
    /// Which account: its id or its name; `default` for that of `FAL_KEY`
    credential: String,
    /// Whose new jobs it pays for
    #[arg(long, value_name = "NAME")]
    project: String,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl CreateArgs {
    pub(super) async fn run(self, config: &Config) -> Result<Exit> {
        if !projects::is_name(&self.name) {
            let rule = "must be 1 to 63 of a-z, 0-9, _ and -, a letter or digit first";
            return Err(Refusal::usage("--name", rule).into());
        }
        check_slots(self.slots)?;
        if let Some(user_id) = &self.user_id {
            check_user_id(user_id)?;
        }
        if self.dry_run {
            output::print(&format!("would add the credential {} with {} slots\n", self.name, self.slots));
            return Ok(Exit::Done);
        }
        let sealer = serve::sealer(config)?;
        let key = key_input::read()?;
        let store = database::open(config).await?;
        let project = match &self.project {
            Some(name) => Some(project_of(&store, name).await?),
            None => None,
        };
        let id = CredentialId(store::fresh_id());
        let new = NewCredential {
            id,
            name: self.name,
            sealed: sealer.seal(id, &key),
            key_hint: key.hint(),
            slots: self.slots.get(),
            user_id: self.user_id,
            project,
        };
        if credentials::create(&store, &new, &os_user::by()).await.context(FAILED)?.is_none() {
            return Err(Refusal::new(Exit::Refused, format!("there is a credential {} already", new.name)).into());
        }
        eprintln!("added the credential {} with the key …{}", new.name, new.key_hint);
        if self.output.format == Format::Table {
            output::print(&format!("{id}\n"));
            return Ok(Exit::Done);
        }
        show(&store, id, self.output).await
    }
}

impl RotateArgs {
    pub(super) async fn run(self, config: &Config) -> Result<Exit> {
        if self.dry_run {
            output::print(&format!("would exchange the key of the credential {}\n", self.credential));
            return Ok(Exit::Done);
        }
        let sealer = serve::sealer(config)?;
        let store = database::open(config).await?;
        let id = find(&store, &self.credential).await?.id;
        if id == CredentialId::DEFAULT {
            let line = "the key of the credential default is FAL_KEY: exchange it in the environment of every server";
            return Err(Refusal::new(Exit::Refused, line).into());
        }
        let key = key_input::read()?;
        let hint = key.hint();
        let done = credentials::rotate(&store, id, &sealer.seal(id, &key), &hint, &os_user::by()).await;
        must_be(done.context(FAILED)?, &self.credential)?;
        told(&store, id, &format!("the key of {} is …{hint}", self.credential), self.output).await
    }
}

impl SlotsArgs {
    pub(super) async fn run(self, config: &Config) -> Result<Exit> {
        check_slots(self.slots)?;
        if self.dry_run {
            output::print(&format!("would give the credential {} {} slots\n", self.credential, self.slots));
            return Ok(Exit::Done);
        }
        let store = database::open(config).await?;
        let id = find(&store, &self.credential).await?.id;
        let done = credentials::set_slots(&store, id, self.slots.get(), &os_user::by()).await.context(FAILED)?;
        if id == CredentialId::DEFAULT {
            eprintln!("fal.slots in the settings is written again when a server starts");
        }
        must_be(done, &self.credential)?;
        told(&store, id, &format!("{} has {} slots", self.credential, self.slots), self.output).await
    }
}

impl StateArgs {
    pub(super) async fn run(self, config: &Config, enabled: bool) -> Result<Exit> {
        let (verb, state) = if enabled { ("enable", "enabled") } else { ("disable", "disabled") };
        if self.dry_run {
            output::print(&format!("would {verb} the credential {}\n", self.credential));
            return Ok(Exit::Done);
        }
        let store = database::open(config).await?;
        let id = find(&store, &self.credential).await?.id;
        let done = credentials::set_enabled(&store, id, enabled, &os_user::by()).await.context(FAILED)?;
        must_be(done, &self.credential)?;
        told(&store, id, &format!("{} is {state}", self.credential), self.output).await
    }
}

impl AssignArgs {
    pub(super) async fn run(self, config: &Config) -> Result<Exit> {
        let Self { credential, project, dry_run, output } = self;
        if dry_run {
            output::print(&format!("would let the credential {credential} pay for new jobs of {project}\n"));
            return Ok(Exit::Done);
        }
        let store = database::open(config).await?;
        let (id, owner) = (find(&store, &credential).await?.id, project_of(&store, &project).await?);
        let assigned = credentials::assign(&store, owner, Some(id), &os_user::by()).await.context(FAILED)?;
        match assigned {
            Assigned::Done => told(&store, id, &format!("{credential} pays for new jobs of {project}"), output).await,
            Assigned::NoProject => Err(no_project(&project).into()),
            Assigned::NoCredential => {
                let line = format!("the credential {credential} is another project's");
                Err(Refusal::new(Exit::Refused, line).into())
            }
        }
    }
}

/// Seals every key anew that the first secret has not sealed.
pub(super) async fn reseal(config: &Config, output: OutputArgs) -> Result<Exit> {
    let sealer = serve::sealer(config)?;
    let store = database::open(config).await?;
    let resealed =
        sealer.reseal(&store).await.context("failed to seal the keys anew; running it again does the rest")?;
    eprintln!("sealed {} keys anew", resealed.done);
    if output.format != Format::Table {
        output::print(&format!("{}\n", json!({"sealed": resealed.done, "unreadable": resealed.unreadable})));
    }
    if resealed.unreadable.is_empty() {
        return Ok(Exit::Done);
    }
    let names = resealed.unreadable.join(", ");
    let line =
        format!("no secret of FALCONER_SECRET opens the keys of {names}: add the one that sealed them, or rotate");
    Err(Refusal::new(Exit::Refused, line).into())
}

async fn project_of(store: &Store, name: &str) -> Result<domain::ProjectId> {
    let found = projects::find(store, name).await.context("failed to read the projects")?;
    found.ok_or_else(|| no_project(name).into())
}

fn no_project(name: &str) -> Refusal {
    Refusal::new(Exit::NotFound, format!("there is no project {name}"))
}

fn check_slots(slots: NonZeroU32) -> Result<()> {
    if slots.get() > SLOTS_MAX {
        return Err(Refusal::usage("slots", format!("must be from 1 to {SLOTS_MAX}")).into());
    }
    Ok(())
}

fn must_be(is_there: bool, credential: &str) -> Result<()> {
    if is_there { Ok(()) } else { Err(missing(credential).into()) }
}

/// Says what was done: in words to a person, as the account is now to a program.
async fn told(store: &Store, id: CredentialId, what: &str, output: OutputArgs) -> Result<Exit> {
    eprintln!("{what}; running servers take it over within five seconds");
    if output.format == Format::Table { Ok(Exit::Done) } else { show(store, id, output).await }
}

async fn show(store: &Store, id: CredentialId, output: OutputArgs) -> Result<Exit> {
    view::show(store, &find(store, &id.to_string()).await?, output).await
}
