//! `falconer orphans`: what fal billed and no attempt explains, over REST.

use super::{
    client::{Call, Client, ClientArgs, read},
    exit::{self, Exit},
    output::{self, OutputArgs, second},
    paging::{self, Columns, PageArgs},
};
use crate::config::Config;
use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

#[derive(Debug, Args)]
pub(crate) struct OrphansArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List orphan charges, newest first
    #[command(after_help = help("falconer orphans list --state open"))]
    List(List),
    /// Note that a charge needs no further thought, and why
    #[command(after_help = help("falconer orphans dismiss 764cabcf-b745-4b3e-ae38-1200304cf45b --reason \"a run by hand\""))]
    Dismiss(Dismiss),
}

#[derive(Debug, Args)]
struct List {
    /// open or resolved
    #[arg(long)]
    state: Option<String>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    with: Common,
}

#[derive(Debug, Args)]
struct Dismiss {
    /// fal's id of the request
    request_id: String,
    /// Why, for whoever asks later
    #[arg(long)]
    reason: String,
    /// Print the request that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    with: Common,
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Deserialize)]
struct Orphan {
    request_id: String,
    endpoint_id: String,
    billed_at: DateTime<Utc>,
    units: String,
    unit: String,
    amount: String,
    currency: String,
    first_seen_at: DateTime<Utc>,
    state: String,
    resolution: Option<String>,
    reason: Option<String>,
    job_id: Option<String>,
    attempt_id: Option<String>,
}

const HEADING: [&str; 6] = ["REQUEST", "BILLED (UTC)", "MODEL", "AMOUNT", "STATE", "JOB"];

impl OrphansArgs {
    pub(crate) async fn run(self, config: &Config) -> Result<Exit> {
        match self.verb {
            Verb::List(args) => args.run(config).await,
            Verb::Dismiss(args) => args.run(config).await,
        }
    }
}

impl List {
    async fn run(self, config: &Config) -> Result<Exit> {
        let client = Client::of(config, self.with.client)?;
        let call = Call::get("/v1/orphan-charges").query("state", self.state);
        let columns = Columns { heading: &HEADING, row };
        paging::print(&client, call, &self.page, self.with.output.format, &columns).await?;
        Ok(Exit::Done)
    }
}

impl Dismiss {
    async fn run(self, config: &Config) -> Result<Exit> {
        let format = self.with.output.format;
        let client = Client::of(config, self.with.client)?;
        let call = Call::post(format!("/v1/orphan-charges/{}/dismiss", path_segment(&self.request_id)))
            .body(json!({ "reason": self.reason }).to_string());
        if self.dry_run {
            output::print(&client.tell(&call, format));
            return Ok(Exit::Done);
        }
        let body = client.send(&call).await?;
        let orphan: Orphan = read(&body)?;
        output::print(&output::one(format, &String::from_utf8_lossy(&body), &orphan.rows()));
        Ok(Exit::Done)
    }
}

impl Orphan {
    fn state(&self) -> String {
        self.resolution.as_ref().unwrap_or(&self.state).clone()
    }

    fn rows(self) -> Vec<(&'static str, String)> {
        let state = self.state();
        let all = [
            ("request id", Some(self.request_id)),
            ("model", Some(self.endpoint_id)),
            ("billed", Some(second(self.billed_at))),
            ("units", Some(format!("{} {}", self.units, self.unit))),
            ("amount", Some(format!("{} {}", self.amount, self.currency))),
            ("first seen", Some(second(self.first_seen_at))),
            ("state", Some(state)),
            ("reason", self.reason),
            ("job", self.job_id),
            ("attempt", self.attempt_id),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn row(item: &RawValue) -> Result<Vec<String>> {
    let orphan: Orphan = read(item.get().as_bytes())?;
    let state = orphan.state();
    let amount = format!("{} {}", orphan.amount, orphan.currency);
    let billed = second(orphan.billed_at);
    Ok(vec![orphan.request_id, billed, orphan.endpoint_id, amount, state, orphan.job_id.unwrap_or_default()])
}

/// What somebody typed, as one segment of a path.
fn path_segment(text: &str) -> String {
    let mut path = url::Url::parse("http://falconer").expect("a constant");
    if let Ok(mut segments) = path.path_segments_mut() {
        segments.clear().push(text);
    }
    path.path().trim_start_matches('/').to_owned()
}

fn help(example: &str) -> String {
    format!("Example:\n  {example}\n\n{}", exit::CODES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_stays_one_segment() {
        assert_eq!(path_segment("764cabcf-b745"), "764cabcf-b745");
        assert_eq!(path_segment("../keys?x=1"), "..%2Fkeys%3Fx=1");
    }
}
