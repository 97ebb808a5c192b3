//! `falconer events`: what happened, in order, over REST.

use super::{
    client::{Call, Client, ClientArgs, read},
    exit::{self, Exit},
    output::{self, Format, OutputArgs, second},
};
use crate::config::Config;
use anyhow::Result;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::time::{Duration, Instant};

/// The longest that one request waits.
const WAIT: Duration = Duration::from_secs(30);
/// Between two requests where the server is away, or did not wait.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List events, oldest first, and acknowledge none
    #[command(after_help = help("falconer events list --types job.failed"))]
    List(List),
    /// Print events as they come, and acknowledge what was printed
    #[command(after_help = help("falconer events tail --consumer web -o jsonl"))]
    Tail(Tail),
    /// Acknowledge everything up to a cursor
    #[command(after_help = help("falconer events ack --consumer web AQABAAAAAAAAAvAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))]
    Ack(Ack),
}

#[derive(Debug, Args)]
struct List {
    /// What this consumer has not acknowledged; it is made where it is not there
    #[arg(long, conflicts_with = "cursor")]
    consumer: Option<String>,
    /// Where to go on: the `next_cursor` of an earlier list
    #[arg(long)]
    cursor: Option<String>,
    /// Events of a page, 1 to 200 [default: 100]
    #[arg(long)]
    limit: Option<u32>,
    #[command(flatten)]
    with: Common,
}

#[derive(Debug, Args)]
struct Tail {
    /// Who reads; a name that is new begins with the oldest event that is kept
    #[arg(long)]
    consumer: String,
    /// End after so many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    with: Common,
}

#[derive(Debug, Args)]
struct Ack {
    /// Who reads
    #[arg(long)]
    consumer: String,
    /// The `cursor` of the page that was dealt with
    cursor: String,
    /// Print the request that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
struct Common {
    /// Only these: job.succeeded, job.failed, job.canceled, joined by commas
    #[arg(long)]
    types: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    cursor: String,
    gap: Option<Gap>,
}

#[derive(Deserialize)]
struct Gap {
    missed: u64,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    timestamp: DateTime<Utc>,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    id: String,
    model: String,
}

#[derive(Deserialize)]
struct Consumer {
    name: String,
    acknowledged_at: Option<DateTime<Utc>>,
}

const HEADING: [&str; 5] = ["EVENT", "TIME (UTC)", "TYPE", "JOB", "MODEL"];

impl EventsArgs {
    pub(crate) async fn run(self, config: &Config) -> Result<Exit> {
        match self.verb {
            Verb::List(args) => args.run(config).await,
            Verb::Tail(args) => args.run(config).await,
            Verb::Ack(args) => args.run(config).await,
        }
    }
}

impl List {
    async fn run(self, config: &Config) -> Result<Exit> {
        let format = self.with.output.format;
        let client = Client::of(config, self.with.client)?;
        let call = Call::get("/v1/events")
            .query("consumer", self.consumer)
            .query("cursor", self.cursor)
            .query("limit", self.limit)
            .query("types", self.with.types);
        let page: Page = read(&client.send(&call).await?)?;
        page.warn_of_gap();
        output::print(&page.told(format)?);
        if format != Format::Json && !page.items.is_empty() {
            eprintln!("the list ends at {}", page.cursor);
        }
        Ok(Exit::Done)
    }
}

impl Tail {
    async fn run(self, config: &Config) -> Result<Exit> {
        let client = Client::of(config, self.with.client.clone())?;
        // One document for all of them would have no end.
        let format = if self.with.output.format == Format::Json { Format::Jsonl } else { self.with.output.format };
        let (mut left, mut was_there) = (self.count, false);
        while left != Some(0) {
            let asked = Instant::now();
            let limit = left.map(|left| left.min(100));
            let Some(body) = ask(&client, &self.call(limit), &mut was_there).await? else { continue };
            let page: Page = read(&body)?;
            page.warn_of_gap();
            output::print(&page.told(format)?);
            left = left.map(|left| left.saturating_sub(page.items.len() as u64));
            // An acknowledgement that is lost leaves the page to be told again, which is the promise.
            ask(&client, &acknowledgement(&self.consumer, &page.cursor), &mut was_there).await?;
            // A server that drains answers at once; asking it again at once would help nobody.
            if page.items.is_empty() && asked.elapsed() < PAUSE {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(Exit::Done)
    }

    fn call(&self, limit: Option<u64>) -> Call {
        Call::get("/v1/events")
            .query("consumer", Some(&self.consumer))
            .query("types", self.with.types.as_ref())
            .query("limit", limit)
            .query("wait", Some(format!("{}s", WAIT.as_secs())))
            .patience(WAIT)
    }
}

impl Ack {
    async fn run(self, config: &Config) -> Result<Exit> {
        let format = self.output.format;
        let client = Client::of(config, self.client)?;
        let call = acknowledgement(&self.consumer, &self.cursor);
        if self.dry_run {
            output::print(&client.tell(&call, format));
            return Ok(Exit::Done);
        }
        let body = client.send(&call).await?;
        let consumer: Consumer = read(&body)?;
        let at = consumer.acknowledged_at.map(second).unwrap_or_default();
        let rows = [("consumer", consumer.name), ("acknowledged", at)];
        output::print(&output::one(format, &String::from_utf8_lossy(&body), &rows));
        Ok(Exit::Done)
    }
}

impl Page {
    fn told(&self, format: Format) -> Result<String> {
        match format {
            // fal's output may have line breaks between its members, and a line of JSON has none.
            Format::Jsonl => Ok(output::lines(self.items.iter().map(|item| item.get().replace(['\n', '\r'], " ")))),
            Format::Json => output::many(format, &self.items, Some(&self.cursor), &HEADING, Vec::new()),
            Format::Table => {
                let rows = self.items.iter().map(|item| row(item)).collect::<Result<_>>()?;
                output::many(format, &self.items, None, &HEADING, rows)
            }
        }
    }

    fn warn_of_gap(&self) {
        if let Some(gap) = &self.gap {
            eprintln!("{} events were dropped before they were acknowledged", gap.missed);
        }
    }
}

/// Asks, and waits where the server is away that was there before: nothing then.
async fn ask(client: &Client, call: &Call, was_there: &mut bool) -> Result<Option<Bytes>> {
    match client.try_send(call).await {
        Ok(body) => {
            *was_there = true;
            Ok(Some(body))
        }
        Err(error) if *was_there && error.is_temporary() => {
            tracing::debug!(error = &error as &dyn std::error::Error, "the server is away");
            tokio::time::sleep(PAUSE).await;
            Ok(None)
        }
        Err(error) => Err(error.into_end()),
    }
}

fn acknowledgement(consumer: &str, cursor: &str) -> Call {
    Call::post("/v1/events/ack").body(json!({ "consumer": consumer, "cursor": cursor }).to_string())
}

fn row(item: &RawValue) -> Result<Vec<String>> {
    let event: Event = read(item.get().as_bytes())?;
    Ok(vec![event.id, second(event.timestamp), event.kind, event.data.id, event.data.model])
}

fn help(example: &str) -> String {
    format!("Example:\n  {example}\n\n{}", exit::CODES)
}
