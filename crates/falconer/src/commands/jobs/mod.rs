//! `falconer jobs`: over REST, as any other client.

mod fields;
mod list;
mod making;
mod many;
mod members;
mod tail;
mod view;
mod wait;

use super::{
    adopt::Adopt,
    client::{Call, Client, ClientArgs, read},
    exit::{self, Exit},
    output::{self, Format, OutputArgs},
};
use crate::config::Config;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use domain::{JobId, Resolution};
use list::List;
use making::{Regenerate, Submit};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tail::Tail;
use view::Entry;
use wait::WaitArgs;

pub(super) use fields::metadata as metadata_of;
pub(super) use wait::print as print_job;

#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Hand in a job, or many from files and standard input
    #[command(after_help = submit_help())]
    Submit(Submit),
    /// Follow jobs as they change, a line for each change
    #[command(after_help = help("falconer jobs tail --tag nightly --state failed,canceled -o jsonl"))]
    Tail(Tail),
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
    /// Take over a request that fal has already
    #[command(after_help = help("falconer jobs adopt --model fal-ai/flux/dev --request-id 764cabcf-b745-4b3e-ae38-1200304cf45b"))]
    Adopt(Adopt),
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

impl JobsArgs {
    pub(crate) async fn run(self, config: &Config) -> Result<Exit> {
        match self.verb {
            Verb::Submit(args) => args.run(config).await,
            Verb::Tail(args) => args.run(config).await,
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
            Verb::Adopt(args) => args.run(config).await,
            Verb::Timeline { id, with } => timeline(config, id, with).await,
        }
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

fn submit_help() -> String {
    let examples = [
        "falconer jobs submit --model fal-ai/flux/dev --input '{\"prompt\":\"an owl\"}' --wait --result",
        "falconer jobs submit jobs.ndjson --tag nightly --wait",
        "falconer jobs submit - --idempotency-key nightly-7 -o jsonl < jobs.ndjson",
    ];
    let more = "A file holds an object on each line, or an array, or one object: {\"model\": …, \"input\": {…}}. Flags go before \
        what stands there; --tag and --metadata add to it.";
    format!("Examples:\n  {}\n\n{more}\n\n{}", examples.join("\n  "), exit::CODES)
}

fn help(example: &str) -> String {
    format!("Example:\n  {example}\n\n{}", exit::CODES)
}
