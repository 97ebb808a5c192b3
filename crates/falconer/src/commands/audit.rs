//! `falconer audit`: what operators did, from the database itself.

use super::{
    database,
    exit::{Exit, Refusal},
    output::{self, OutputArgs, second},
};
use crate::config::Config;
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use domain::KeyId;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};
use store::{
    audit::{self, Action, AuditFilter, AuditRow},
    callbacks::Reader,
};

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List what operators did, newest first
    #[command(after_help = "Example:\n  falconer audit list --action key.revoked")]
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// This action alone, such as key.revoked
    #[arg(long)]
    action: Option<Action>,
    /// Done by this key
    #[arg(long, value_name = "ID")]
    key: Option<KeyId>,
    /// Done to what is this project's, by its name or id
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// At this time or later, as RFC 3339 writes it
    #[arg(long, value_name = "TIME")]
    from: Option<DateTime<Utc>>,
    /// Earlier than this time
    #[arg(long, value_name = "TIME")]
    before: Option<DateTime<Utc>>,
    /// Rows at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    #[command(flatten)]
    output: OutputArgs,
}

const HEADING: [&str; 6] = ["WHEN (UTC)", "ACTION", "WHO", "ON", "OUTCOME", "FROM"];

impl AuditCommand {
    pub(crate) async fn run(self, config: &Config) -> Result<Exit> {
        match self {
            Self::List(args) => args.run(config).await,
        }
    }
}

impl ListArgs {
    async fn run(self, config: &Config) -> Result<Exit> {
        let store = database::open(config).await?;
        let project = match &self.project {
            None => None,
            Some(text) => {
                let found = store::projects::get(&store, Reader::Operator, text).await;
                let found = found.context("failed to read the projects")?.map(|project| project.id);
                Some(found.ok_or_else(|| Refusal::new(Exit::NotFound, format!("there is no project {text}")))?)
            }
        };
        let filter = AuditFilter { action: self.action, key: self.key, project, from: self.from, before: self.before };
        let page = audit::list(&store, Reader::Operator, &filter, None, self.limit).await;
        let page = page.context("failed to read the audit log")?;
        let items = page.items.iter().map(as_json).collect::<Result<Vec<_>, _>>()?;
        let rows = page.items.iter().map(as_row).collect();
        output::print(&output::many(self.output.format, &items, None, &HEADING, rows)?);
        if let (true, Some(last)) = (page.next.is_some(), page.items.last()) {
            eprintln!("there is more: --before {}", last.at.to_rfc3339());
        }
        Ok(Exit::Done)
    }
}

fn as_json(row: &AuditRow) -> serde_json::Result<Box<RawValue>> {
    to_raw_value(&json!({
        "id": row.id, "at": row.at, "action": row.action,
        "actor": {"kind": row.actor, "key_id": row.key, "os_user": row.os_user},
        "project_id": row.project, "subject": {"kind": row.subject, "id": row.subject_id},
        "peer": row.peer, "outcome": row.outcome, "detail": row.detail,
    }))
}

fn as_row(row: &AuditRow) -> Vec<String> {
    let who = match (row.key, &row.os_user) {
        (Some(key), _) => format!("key {key}"),
        (None, user) => format!("{} on the command line", user.as_deref().unwrap_or("somebody")),
    };
    vec![
        second(row.at),
        row.action.clone(),
        who,
        format!("{} {}", row.subject, row.subject_id),
        row.outcome.clone(),
        row.peer.clone().unwrap_or_default(),
    ]
}
