//! `falconer callback-urls create` and `falconer jobs adopt`: requests that somebody else sends to fal.

use super::{
    client::{Call, Client, ClientArgs, read},
    exit::{self, Exit},
    jobs::{metadata_of, print_job},
    output::{self, OutputArgs, second},
};
use crate::{config::Config, random};
use anyhow::Result;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use uuid::Builder;

#[derive(Debug, Args)]
pub(crate) struct CallbackUrlsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Mint a URL to hand to fal as `fal_webhook`, for one request
    #[command(after_help = help("falconer callback-urls create --model fal-ai/flux/dev --metadata order=4711"))]
    Create(Create),
}

#[derive(Debug, Args)]
struct Create {
    /// Until when the callback is waited for, in RFC 3339 [default: as long as for any attempt]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    #[command(flatten)]
    fields: Fields,
}

#[derive(Debug, Args)]
pub(super) struct Adopt {
    /// fal's name for the request
    #[arg(long, value_name = "ID")]
    request_id: String,
    #[command(flatten)]
    fields: Fields,
}

/// What both take.
#[derive(Debug, Args)]
struct Fields {
    /// The endpoint id that the request goes to, such as `fal-ai/flux/dev`
    #[arg(long)]
    model: String,
    /// A word to find the job by; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// More to find it by: KEY=VALUE, which may be repeated, or one JSON object
    #[arg(long, value_name = "KEY=VALUE")]
    metadata: Vec<String>,
    /// Equal keys make equal jobs once [default: a new one]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Print the request that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Deserialize)]
struct Minted {
    id: String,
    callback_url: String,
    expires_at: DateTime<Utc>,
}

impl CallbackUrlsArgs {
    pub(crate) async fn run(self, config: &Config) -> Result<Exit> {
        let Verb::Create(Create { expires_at, fields }) = self.verb;
        let format = fields.output.format;
        let expires_at = expires_at.map(|time| ("expires_at", json!(time).to_string()));
        let Some(body) = fields.send(config, "/v1/callback-urls", expires_at).await? else { return Ok(Exit::Done) };
        let minted: Minted = read(&body)?;
        let rows = [("job", minted.id), ("callback url", minted.callback_url), ("expires", second(minted.expires_at))];
        output::print(&output::one(format, &String::from_utf8_lossy(&body), &rows));
        Ok(Exit::Done)
    }
}

impl Adopt {
    pub(super) async fn run(self, config: &Config) -> Result<Exit> {
        let format = self.fields.output.format;
        let request_id = ("request_id", json!(self.request_id).to_string());
        if let Some(body) = self.fields.send(config, "/v1/jobs/adopt", Some(request_id)).await? {
            print_job(&body, format)?;
        }
        Ok(Exit::Done)
    }
}

impl Fields {
    /// Sends what the flags say with the verb's own member, under a key. Nothing comes back of a dry run.
    async fn send(self, config: &Config, path: &str, own: Option<(&'static str, String)>) -> Result<Option<Bytes>> {
        let tags = (!self.tags.is_empty()).then(|| ("tags", json!(self.tags).to_string()));
        let metadata = metadata_of(&self.metadata)?.map(|metadata| ("metadata", metadata));
        let model = ("model", json!(self.model).to_string());
        let members = [Some(model), own, tags, metadata].into_iter().flatten();
        let body: Vec<String> = members.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let key =
            self.idempotency_key.unwrap_or_else(|| Builder::from_random_bytes(random::bytes()).into_uuid().to_string());
        let call = Call::post(path).body(format!("{{{}}}", body.join(","))).idempotency_key(key.clone());
        let client = Client::of(config, self.client)?;
        if self.dry_run {
            output::print(&client.tell(&call, self.output.format));
            return Ok(None);
        }
        match client.try_send(&call).await {
            Ok(body) => Ok(Some(body)),
            Err(error) => {
                if error.is_temporary() {
                    eprintln!("it may have been accepted; repeat it with --idempotency-key {key} and it is made once");
                }
                Err(error.into_end())
            }
        }
    }
}

fn help(example: &str) -> String {
    format!("Example:\n  {example}\n\n{}", exit::CODES)
}
