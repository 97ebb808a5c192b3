//! `falconer jobs submit` and `regenerate`: what makes a job.

use super::{Common, fields::JobFields, view, wait, wait::WaitArgs};
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
use uuid::Builder;

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
pub(super) struct Submit {
    /// fal's endpoint id, such as `fal-ai/flux/dev`
    #[arg(long)]
    model: String,
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
    pub(super) async fn run(self, config: &Config) -> Result<Exit> {
        if !self.making.fields.has_input() {
            return Err(Refusal::usage("--input", "is required, or --input-file").into());
        }
        let body = self.making.fields.body(&[("model", Some(json!(self.model).to_string()))])?;
        self.making.send(config, Call::post("/v1/jobs").body(body)).await
    }
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
