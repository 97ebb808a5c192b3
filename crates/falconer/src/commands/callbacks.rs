//! `falconer callbacks`: what fal sent, what became of it, and another try, over REST.

use super::{
    client::{Call, Client, ClientArgs, read},
    exit::{self, Exit, Refusal},
    output::{self, Format, OutputArgs, second},
    paging::{self, Columns, PageArgs},
};
use crate::config::Config;
use anyhow::Result;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use domain::CallbackId;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Debug, Args)]
pub(crate) struct CallbacksArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List callbacks, newest first
    #[command(after_help = help("falconer callbacks list --disposition rejected"))]
    List(List),
    /// Show one callback
    #[command(after_help = help("falconer callbacks show 01990000-0000-7000-8000-000000000001 --raw"))]
    Show {
        /// The callback's id
        id: CallbackId,
        /// Print its bytes instead, as they came
        #[arg(long)]
        raw: bool,
        #[command(flatten)]
        with: Common,
    },
    /// Check a kept callback with today's keys, and tell which checks hold; ends with 1 where one does not
    #[command(after_help = help("falconer callbacks verify 01990000-0000-7000-8000-000000000001"))]
    Verify {
        /// The callback's id
        id: CallbackId,
        #[command(flatten)]
        with: Common,
    },
    /// Process a kept callback again
    #[command(after_help = help("falconer callbacks reprocess 01990000-0000-7000-8000-000000000001"))]
    Reprocess {
        /// The callback's id
        id: CallbackId,
        /// Print the request that would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        with: Common,
    },
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
struct List {
    /// applied, duplicate, kept or rejected
    #[arg(long)]
    disposition: Option<String>,
    /// Why it was kept or rejected
    #[arg(long)]
    cause: Option<String>,
    /// The job whose it is
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// The attempt whose it is
    #[arg(long, value_name = "ID")]
    attempt: Option<String>,
    /// fal's id of the request
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    with: Common,
}

#[derive(Deserialize)]
struct Callback {
    id: String,
    received_at: DateTime<Utc>,
    disposition: String,
    cause: Option<String>,
    job_id: Option<String>,
    attempt_id: Option<String>,
    request_id: Option<String>,
    user_id: Option<String>,
    signed_at: Option<DateTime<Utc>>,
    body_bytes: u64,
    body_sha256: Option<String>,
}

#[derive(Deserialize)]
struct Verified {
    genuine: bool,
    checks: Checks,
}

#[derive(Deserialize)]
struct Checks {
    bytes_kept: bool,
    headers: Option<bool>,
    signature: Option<bool>,
    user_id: Option<bool>,
    request_id: Option<bool>,
}

const HEADING: [&str; 6] = ["ID", "RECEIVED (UTC)", "DISPOSITION", "CAUSE", "JOB", "BYTES"];

impl CallbacksArgs {
    pub(crate) async fn run(self, config: &Config) -> Result<Exit> {
        match self.verb {
            Verb::List(args) => args.run(config).await,
            Verb::Show { id, raw, with } => show(config, id, raw, with).await,
            Verb::Verify { id, with } => verify(config, id, with).await,
            Verb::Reprocess { id, dry_run, with } => reprocess(config, id, dry_run, with).await,
        }
    }
}

impl List {
    async fn run(self, config: &Config) -> Result<Exit> {
        let client = Client::of(config, self.with.client)?;
        let call = Call::get("/v1/callbacks")
            .query("disposition", self.disposition)
            .query("cause", self.cause)
            .query("job_id", self.job)
            .query("attempt_id", self.attempt)
            .query("request_id", self.request_id);
        let columns = Columns { heading: &HEADING, row };
        paging::print(&client, call, &self.page, self.with.output.format, &columns).await?;
        Ok(Exit::Done)
    }
}

async fn show(config: &Config, id: CallbackId, raw: bool, with: Common) -> Result<Exit> {
    let client = Client::of(config, with.client)?;
    if raw {
        output::print_result(&client.send(&Call::get(format!("/v1/callbacks/{id}/raw"))).await?);
        return Ok(Exit::Done);
    }
    print(&client.send(&Call::get(format!("/v1/callbacks/{id}"))).await?, with.output.format)
}

async fn verify(config: &Config, id: CallbackId, with: Common) -> Result<Exit> {
    let client = Client::of(config, with.client)?;
    let body = client.send(&Call::post(format!("/v1/callbacks/{id}/verify"))).await?;
    let verified: Verified = read(&body)?;
    let checks = &verified.checks;
    let word = |check: Option<bool>| match check {
        Some(true) => "holds".to_owned(),
        Some(false) => "does not hold".to_owned(),
        None => "could not be checked".to_owned(),
    };
    let rows = [
        ("bytes kept", word(Some(checks.bytes_kept))),
        ("headers", word(checks.headers)),
        ("signature", word(checks.signature)),
        ("user id", word(checks.user_id)),
        ("request id", word(checks.request_id)),
    ];
    output::print(&output::one(with.output.format, &String::from_utf8_lossy(&body), &rows));
    if verified.genuine {
        return Ok(Exit::Done);
    }
    Err(Refusal::new(Exit::Failed, format!("the callback {id} is not proved genuine")).into())
}

async fn reprocess(config: &Config, id: CallbackId, dry_run: bool, with: Common) -> Result<Exit> {
    let client = Client::of(config, with.client)?;
    let call = Call::post(format!("/v1/callbacks/{id}/reprocess"));
    if dry_run {
        output::print(&client.tell(&call, with.output.format));
        return Ok(Exit::Done);
    }
    print(&client.send(&call).await?, with.output.format)
}

fn print(body: &Bytes, format: Format) -> Result<Exit> {
    let callback: Callback = read(body)?;
    output::print(&output::one(format, &String::from_utf8_lossy(body), &callback.rows()));
    Ok(Exit::Done)
}

impl Callback {
    fn rows(self) -> Vec<(&'static str, String)> {
        let all = [
            ("id", Some(self.id)),
            ("received", Some(second(self.received_at))),
            ("disposition", Some(self.disposition)),
            ("cause", self.cause),
            ("job", self.job_id),
            ("attempt", self.attempt_id),
            ("request id", self.request_id),
            ("user id", self.user_id),
            ("signed", self.signed_at.map(second)),
            ("bytes", Some(self.body_bytes.to_string())),
            ("sha256", self.body_sha256),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn row(item: &RawValue) -> Result<Vec<String>> {
    let callback: Callback = read(item.get().as_bytes())?;
    let bytes = callback.body_bytes.to_string();
    let received = second(callback.received_at);
    let (cause, job) = (callback.cause.unwrap_or_default(), callback.job_id.unwrap_or_default());
    Ok(vec![callback.id, received, callback.disposition, cause, job, bytes])
}

fn help(example: &str) -> String {
    format!("Example:\n  {example}\n\n{}", exit::CODES)
}
