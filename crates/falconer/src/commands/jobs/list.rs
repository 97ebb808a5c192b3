//! `falconer jobs list`.

use super::{Common, view};
use crate::{
    commands::{
        client::{Call, Client},
        exit::{Exit, Refusal},
        paging::{self, Columns, PageArgs},
    },
    config::Config,
};
use anyhow::Result;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct List {
    /// scheduled, held, queued, running, succeeded, failed, canceled; several joined by commas
    #[arg(long)]
    state: Option<String>,
    /// Of this endpoint id
    #[arg(long)]
    model: Option<String>,
    /// With this tag
    #[arg(long)]
    tag: Option<String>,
    /// A path into the metadata and the string there; may be repeated
    #[arg(long, value_name = "PATH=VALUE")]
    metadata: Vec<String>,
    /// Why it failed
    #[arg(long, value_name = "CLASS")]
    error_class: Option<String>,
    /// Made at this time or later, in RFC 3339
    #[arg(long, value_name = "TIME")]
    created_from: Option<String>,
    /// Made before this time, in RFC 3339
    #[arg(long, value_name = "TIME")]
    created_before: Option<String>,
    /// fal's id of one of its attempts
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    with: Common,
}

impl List {
    pub(super) async fn run(self, config: &Config) -> Result<Exit> {
        let client = Client::of(config, self.with.client)?;
        let mut call = Call::get("/v1/jobs")
            .query("state", self.state)
            .query("model", self.model)
            .query("tag", self.tag)
            .query("error_class", self.error_class)
            .query("created_from", self.created_from)
            .query("created_before", self.created_before)
            .query("request_id", self.request_id);
        for pair in &self.metadata {
            let (path, value) =
                pair.split_once('=').ok_or_else(|| Refusal::usage("--metadata", "must be PATH=VALUE"))?;
            call = call.query(&format!("metadata.{path}"), Some(value));
        }
        let columns = Columns { heading: &view::JOB_HEADING, row: view::job_row };
        paging::print(&client, call, &self.page, self.with.output.format, &columns).await?;
        Ok(Exit::Done)
    }
}
