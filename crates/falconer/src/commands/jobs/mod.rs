//! `falconer jobs`: over REST, as any other client.

mod fields;
mod view;
mod wait;

use super::{
    client::{Call, Client, ClientArgs, read},
    exit::{self, Exit, Refusal},
    output::{self, Format, OutputArgs},
    paging::{self, Columns, PageArgs},
};
use crate::{config::Config, random};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use domain::{JobId, Resolution};
use fields::JobFields;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use uuid::Builder;
use view::Entry;
use wait::WaitArgs;

#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Hand in a job
    #[command(after_help = help("falconer jobs submit --model fal-ai/flux/dev --input '{\"prompt\":\"an owl\"}' --wait --result"))]
    Submit(Submit),
    /// List jobs, newest first
    #[command(after_help = help("falconer jobs list --state failed,canceled --tag nightly -o jsonl --all"))]
    List(List),
    /// Show one job
    #[command(after_help = help("falconer jobs show 01990000-0000-7000-8000-000000000001 --result"))]
    Show {
        /// The job's id
        id: JobId,
        /// Print fal's output instead, byte for byte
        #[arg(long)]
        result: bool,
        #[command(flatten)]
        with: Common,
    },
    /// Wait until a job has ended
    #[command(after_help = help("falconer jobs wait 01990000-0000-7000-8000-000000000001 --timeout 10m"))]
    Wait {
        /// The job's id
        id: JobId,
        #[command(flatten)]
        wait: WaitArgs,
        #[command(flatten)]
        with: Common,
    },
    /// Ask for a job's end; what runs at fal ends when fal confirms it
    #[command(after_help = help("falconer jobs cancel 01990000-0000-7000-8000-000000000001"))]
    Cancel(Change),
    /// Decide about a job of whose attempt nobody knows what became
    #[command(after_help = help("falconer jobs resolve 01990000-0000-7000-8000-000000000001 --resubmit"))]
    Resolve(Resolve),
    /// Read fal's result again, for a job that failed or whose result was lost; costs nothing
    #[command(after_help = help("falconer jobs refetch 01990000-0000-7000-8000-000000000001"))]
    Refetch(Change),
    /// Make a new job of an old one's input, or of an edited one, and pay for it again
    #[command(after_help = help("falconer jobs regenerate 01990000-0000-7000-8000-000000000001 --max-cost 0.05"))]
    Regenerate(Regenerate),
    /// Tell everything that happened to a job, oldest first
    #[command(after_help = help("falconer jobs timeline 01990000-0000-7000-8000-000000000001"))]
    Timeline {
        /// The job's id
        id: JobId,
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
struct Change {
    /// The job's id
    id: JobId,
    /// Print the request that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    with: Common,
}

#[derive(Debug, Args)]
struct Resolve {
    #[command(flatten)]
    action: Action,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Action {
    /// Send the job again, at the risk of paying twice; for jobs with `on_unknown: operator`
    #[arg(long)]
    resubmit: bool,
    /// Let the job fail as abandoned
    #[arg(long)]
    give_up: bool,
}

/// What is common to those verbs that make a job.
#[derive(Debug, Args)]
struct Making {
    #[command(flatten)]
    fields: JobFields,
    /// Equal keys make one job [default: a new one]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait until it has ended; --timeout and --result say so too
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    waiting: WaitArgs,
    /// Print the request that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    with: Common,
}

#[derive(Debug, Args)]
struct Submit {
    /// fal's endpoint id, such as `fal-ai/flux/dev`
    #[arg(long)]
    model: String,
    #[command(flatten)]
    making: Making,
}

#[derive(Debug, Args)]
struct Regenerate {
    /// The old job's id
    id: JobId,
    /// Refuse where the estimate is above this, in US dollars
    #[arg(long, value_name = "USD")]
    max_cost: Option<String>,
    #[command(flatten)]
    making: Making,
}

#[derive(Debug, Args)]
struct List {
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

impl JobsArgs {
    pub(crate) async fn run(self, config: &Config) -> Result<Exit> {
        match self.verb {
            Verb::Submit(args) => args.run(config).await,
            Verb::List(args) => args.run(config).await,
            Verb::Show { id, result, with } => show(config, id, result, with).await,
            Verb::Wait { id, wait, with } => {
                wait::run(&Client::of(config, with.client)?, &id.to_string(), &wait, with.output.format).await
            }
            Verb::Cancel(change) => change.run(config, "cancel", None).await,
            Verb::Resolve(args) => {
                let how = if args.action.resubmit { Resolution::Resubmit } else { Resolution::GiveUp };
                let body = json!({ "action": how.as_str() }).to_string();
                args.change.run(config, "resolve", Some(body)).await
            }
            Verb::Refetch(change) => change.run(config, "refetch", None).await,
            Verb::Regenerate(args) => args.run(config).await,
            Verb::Timeline { id, with } => timeline(config, id, with).await,
        }
    }
}

impl Submit {
    async fn run(self, config: &Config) -> Result<Exit> {
        if !self.making.fields.has_input() {
            return Err(Refusal::usage("--input", "is required, or --input-file").into());
        }
        let body = self.making.fields.body(&[("model", Some(json!(self.model).to_string()))])?;
        self.making.send(config, Call::post("/v1/jobs").body(body)).await
    }
}

impl Regenerate {
    async fn run(self, config: &Config) -> Result<Exit> {
        let max_cost = self.max_cost.as_ref().map(|cost| json!(cost).to_string());
        let body = self.making.fields.body(&[("max_cost", max_cost)])?;
        self.making.send(config, Call::post(format!("/v1/jobs/{}/regenerate", self.id)).body(body)).await
    }
}

impl Making {
    /// Sends what makes a job, under a key, so that an answer that was lost can be asked for again.
    async fn send(self, config: &Config, call: Call) -> Result<Exit> {
        let format = self.with.output.format;
        let client = Client::of(config, self.with.client)?;
        let key =
            self.idempotency_key.unwrap_or_else(|| Builder::from_random_bytes(random::bytes()).into_uuid().to_string());
        let call = call.idempotency_key(key.clone());
        if self.dry_run {
            output::print(&client.tell(&call, format));
            return Ok(Exit::Done);
        }
        let body = match client.try_send(&call).await {
            Ok(body) => body,
            Err(error) => {
                if error.is_temporary() {
                    eprintln!("it may have been accepted; repeat it with --idempotency-key {key} and it is made once");
                }
                return Err(error.into_end());
            }
        };
        if !self.wait && !self.waiting.is_asked_for() {
            wait::print(&body, format)?;
            return Ok(Exit::Done);
        }
        let job: view::Job = read(&body)?;
        eprintln!("waiting for {}", job.id);
        wait::run(&client, &job.id, &self.waiting, format).await
    }
}

impl Change {
    async fn run(self, config: &Config, verb: &str, body: Option<String>) -> Result<Exit> {
        let format = self.with.output.format;
        let client = Client::of(config, self.with.client)?;
        let mut call = Call::post(format!("/v1/jobs/{}/{verb}", self.id));
        if let Some(body) = body {
            call = call.body(body);
        }
        if self.dry_run {
            output::print(&client.tell(&call, format));
        } else {
            wait::print(&client.send(&call).await?, format)?;
        }
        Ok(Exit::Done)
    }
}

impl List {
    async fn run(self, config: &Config) -> Result<Exit> {
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

async fn show(config: &Config, id: JobId, result: bool, with: Common) -> Result<Exit> {
    let client = Client::of(config, with.client)?;
    if result {
        return wait::result(&client, &id.to_string()).await;
    }
    let body = client.send(&Call::get(format!("/v1/jobs/{id}"))).await?;
    wait::print(&body, with.output.format)?;
    Ok(Exit::Done)
}

async fn timeline(config: &Config, id: JobId, with: Common) -> Result<Exit> {
    #[derive(Deserialize)]
    struct Timeline {
        items: Vec<Box<RawValue>>,
    }
    let client = Client::of(config, with.client)?;
    let body = client.send(&Call::get(format!("/v1/jobs/{id}/timeline"))).await?;
    let timeline: Timeline = read(&body)?;
    let mut rows = Vec::new();
    if with.output.format == Format::Table {
        let entries = timeline.items.iter().map(|item| read(item.get().as_bytes())).collect::<Result<Vec<Entry>>>()?;
        let first = entries.first().context("the timeline is empty")?.at();
        rows = entries.iter().map(|entry| entry.row(first)).collect();
    }
    output::print(&output::many(with.output.format, &timeline.items, None, &view::ENTRY_HEADING, rows)?);
    Ok(Exit::Done)
}

fn help(example: &str) -> String {
    format!("Example:\n  {example}\n\n{}", exit::CODES)
}
