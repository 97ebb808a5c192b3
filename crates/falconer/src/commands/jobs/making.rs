//! `falconer jobs submit` and `regenerate`: what makes a job.

use super::{
    Common,
    fields::JobFields,
    many::{Key, Many},
    view, wait,
    wait::WaitArgs,
};
use crate::{
    commands::{
        client::{Call, Client, read},
        exit::{Exit, Refusal},
        output,
    },
    config::Config,
    random,
};
use anyhow::Result;
use clap::Args;
use domain::JobId;
use serde_json::json;
use std::{io::IsTerminal, path::PathBuf};
use submitter::JobRequest;
use uuid::Builder;

/// What is common to those verbs that make a job.
#[derive(Debug, Args)]
struct Making {
    #[command(flatten)]
    fields: JobFields,
    /// Equal keys make equal jobs once [default: a new one]
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
pub(super) struct Submit {
    /// Files of jobs, or `-` for standard input: an object on each line, an array, or one object
    #[arg(value_name = "FILE", conflicts_with_all = ["input", "input_file"])]
    files: Vec<PathBuf>,
    /// fal's endpoint id, such as `fal-ai/flux/dev`; of every job where there are files
    #[arg(long)]
    model: Option<String>,
    /// Equal files and flags make the same jobs: a second time finds them and makes none
    #[arg(long, requires = "files", conflicts_with = "idempotency_key")]
    idempotent: bool,
    /// Wait, and write each result into this folder as ID.json
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    making: Making,
}

#[derive(Debug, Args)]
pub(super) struct Regenerate {
    /// The old job's id
    id: JobId,
    /// Refuse where the estimate is above this, in US dollars
    #[arg(long, value_name = "USD")]
    max_cost: Option<String>,
    #[command(flatten)]
    making: Making,
}

impl Submit {
    pub(super) async fn run(mut self, config: &Config) -> Result<Exit> {
        // Who pipes something in, and says nothing else of a job, means what is piped.
        let is_single = self.model.is_some() || self.making.fields.has_input();
        if self.files.is_empty() && !is_single && !std::io::stdin().is_terminal() {
            self.files.push(PathBuf::from("-"));
        }
        if !self.files.is_empty() {
            return self.many(config).await;
        }
        let Some(model) = self.model else {
            return Err(Refusal::usage("--model", "is required where no FILE is given").into());
        };
        if !self.making.fields.has_input() {
            return Err(Refusal::usage("--input", "is required, or --input-file").into());
        }
        if self.out.is_some() {
            return Err(Refusal::usage("--out", "is for jobs of files; --result prints the result of this one").into());
        }
        let body = self.making.fields.body(&[("model", Some(json!(model).to_string()))])?;
        if self.making.dry_run {
            check(&body)?;
        }
        self.making.send(config, Call::post("/v1/jobs").body(body)).await
    }

    async fn many(self, config: &Config) -> Result<Exit> {
        let making = self.making;
        if making.waiting.result {
            return Err(Refusal::usage("--result", "is for one job of flags; --out writes the results of files").into());
        }
        let model = self.model.map(|model| ("model", json!(model).to_string()));
        let key = match making.idempotency_key {
            Some(key) => Key::Given(key),
            None if self.idempotent => Key::OfContent,
            None => Key::New,
        };
        let many = Many {
            files: self.files,
            flags: model.into_iter().chain(making.fields.flags()?).collect(),
            key,
            wait: making.wait,
            timeout: making.waiting.timeout,
            out: self.out,
            output: making.with.output,
        };
        if making.dry_run { many.dry_run().await } else { many.run(&Client::of(config, making.with.client)?).await }
    }
}

/// Holds a job against the rules that the server will hold it against.
fn check(body: &str) -> Result<()> {
    JobRequest::parse(body.as_bytes()).map(drop).map_err(|invalid| {
        let lines = invalid.0.iter().map(|error| format!("{}: {}", error.field, error.rule));
        Refusal { exit: Exit::Refused, lines: lines.collect() }.into()
    })
}

impl Regenerate {
    pub(super) async fn run(self, config: &Config) -> Result<Exit> {
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
