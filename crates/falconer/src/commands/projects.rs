//! `falconer projects`: who submits and who is billed, on the database itself.

use super::{
    database,
    exit::{self, Exit, Refusal},
    output::{self, OutputArgs, second},
};
use crate::{config::Config, os_user};
use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};
use store::{
    callbacks::Reader,
    projects::{self, Project},
};

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectsCommand {
    /// List projects by name
    #[command(after_help = "Example:\n  falconer projects list")]
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Make a project
    #[command(after_help = format!("Example:\n  falconer projects create acme\n\n{}", exit::CODES))]
    Create {
        /// 1 to 63 of a-z, 0-9, _ and -, a letter or digit first
        name: String,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one project
    #[command(after_help = format!("Example:\n  falconer projects show acme\n\n{}", exit::CODES))]
    Show {
        /// The project's name or id
        project: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

const HEADING: [&str; 4] = ["ID", "NAME", "CREATED", "CREDENTIAL"];

impl ProjectsCommand {
    pub(crate) async fn run(self, config: &Config) -> Result<Exit> {
        match self {
            Self::List { output } => list(config, output).await,
            Self::Create { name, dry_run, output } => create(config, &name, dry_run, output).await,
            Self::Show { project, output } => show(config, &project, output).await,
        }
    }
}

async fn list(config: &Config, output: OutputArgs) -> Result<Exit> {
    let store = database::open(config).await?;
    let all = projects::list(&store).await.context("failed to read the projects")?;
    let items = all.iter().map(as_json).collect::<Result<Vec<_>, _>>()?;
    let rows = all.iter().map(|project| {
        vec![project.id.to_string(), project.name.clone(), second(project.created_at), credential(project)]
    });
    output::print(&output::many(output.format, &items, None, &HEADING, rows.collect())?);
    Ok(Exit::Done)
}

async fn create(config: &Config, name: &str, dry_run: bool, output: OutputArgs) -> Result<Exit> {
    if !projects::is_name(name) {
        let rule = "must be 1 to 63 of a-z, 0-9, _ and -, a letter or digit first";
        return Err(Refusal::usage("NAME", rule).into());
    }
    if dry_run {
        output::print(&format!("would make the project {name}\n"));
        return Ok(Exit::Done);
    }
    let store = database::open(config).await?;
    if projects::create(&store, name, &os_user::by()).await.context("failed to make the project")?.is_none() {
        return Err(Refusal::new(Exit::Refused, format!("there is a project {name} already")).into());
    }
    show(config, name, output).await
}

async fn show(config: &Config, id_or_name: &str, output: OutputArgs) -> Result<Exit> {
    let store = database::open(config).await?;
    let found = projects::get(&store, Reader::Operator, id_or_name).await.context("failed to read the project")?;
    let project = found.ok_or_else(|| Refusal::new(Exit::NotFound, format!("there is no project {id_or_name}")))?;
    let rows = [
        ("id", project.id.to_string()),
        ("name", project.name.clone()),
        ("created", second(project.created_at)),
        ("credential", credential(&project)),
    ];
    output::print(&output::one(output.format, as_json(&project)?.get(), &rows));
    Ok(Exit::Done)
}

fn credential(project: &Project) -> String {
    project.credential.map_or_else(|| "default".to_owned(), |id| id.to_string())
}

fn as_json(project: &Project) -> serde_json::Result<Box<RawValue>> {
    to_raw_value(&json!({
        "id": project.id, "name": project.name, "created_at": project.created_at, "credential_id": project.credential,
    }))
}
