//! `falconer jobs tail`: a line for each change of the project's jobs.
//!
//! Ends come from the feed of events, which loses none: it is read under a name of this command's own, and what was printed
//! is acknowledged. What is new and what runs is looked at once a second, so a state that lasts less may go by unseen.

mod feed;
mod open;

use super::{Common, view::Job};
use crate::{
    commands::{
        client::{CallError, Client, read},
        exit::{Exit, Refusal},
        output::{self, Format, clean},
    },
    config::Config,
};
use anyhow::{Context, Result};
use clap::Args;
use feed::Feed;
use open::Open;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

const STATES: [&str; 7] = ["scheduled", "held", "queued", "running", "succeeded", "failed", "canceled"];

#[derive(Debug, Args)]
pub(super) struct Tail {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    with: Common,
}

/// Of which changes a line is printed.
#[derive(Clone, Debug, Default, Args)]
struct Filter {
    /// Changes to scheduled, held, queued, running, succeeded, failed, canceled; several joined by commas [default: all]
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(STATES), hide_possible_values = true)]
    state: Vec<String>,
    /// Of this endpoint id
    #[arg(long)]
    model: Option<String>,
    /// With this tag
    #[arg(long)]
    tag: Option<String>,
    /// A path into the metadata and the string there; may be repeated
    #[arg(long, value_name = "PATH=VALUE")]
    metadata: Vec<String>,
}

/// Why following ended.
enum End {
    /// Nobody reads any more.
    Unread,
    Call(CallError),
    Other(anyhow::Error),
}

impl End {
    /// What the command ends with.
    fn into_exit(self) -> Result<Exit> {
        match self {
            Self::Unread => Ok(Exit::Done),
            Self::Call(error) => Err(error.into_end()),
            Self::Other(error) => Err(error),
        }
    }
}

impl From<CallError> for End {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<anyhow::Error> for End {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl Tail {
    pub(super) async fn run(self, config: &Config) -> Result<Exit> {
        if self.filter.metadata.iter().any(|pair| !pair.contains('=')) {
            return Err(Refusal::usage("--metadata", "must be PATH=VALUE").into());
        }
        let client = Client::of(config, self.with.client)?;
        let lines = Lines { format: self.with.output.format, filter: self.filter };
        let mut terminated = signal(SignalKind::terminate()).context("failed to listen for signals")?;
        // Before the feed begins: a job that came between the two would be taken for an old one.
        let mut open = Open::new(&client);
        if lines.wants_open()
            && let Err(end) = open.changes().await
        {
            return end.into_exit();
        }
        let mut feed = Feed::begin(&client).await?;
        let ended = tokio::select! {
            ended = follow(&client, &mut feed, &mut open, &lines) => ended,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
            _ = terminated.recv() => Ok(Exit::Interrupted),
        };
        feed.end().await;
        ended
    }
}

/// Follows for ever. A server that is away is waited for.
async fn follow(client: &Client, feed: &mut Feed<'_>, open: &mut Open<'_>, lines: &Lines) -> Result<Exit> {
    let mut pause = PAUSE_FIRST;
    lines.heading();
    loop {
        match round(feed, open, lines).await {
            Ok(()) => pause = PAUSE_FIRST,
            Err(End::Call(error)) if error.is_temporary() => {
                if pause == PAUSE_FIRST {
                    eprintln!("{} is away; trying again", client.base());
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_LONGEST);
            }
            Err(end) => return end.into_exit(),
        }
    }
}

/// Looks once at what is open, if it is time, and waits a moment for what ends.
async fn round(feed: &mut Feed<'_>, open: &mut Open<'_>, lines: &Lines) -> Result<(), End> {
    if lines.wants_open() {
        for job in open.changes().await? {
            lines.print(&job)?;
        }
    }
    for job in feed.next().await? {
        open.forget(&read::<Job>(job.as_bytes())?.id);
        lines.print(&job)?;
    }
    feed.acknowledge().await?;
    Ok(())
}

/// What is printed.
struct Lines {
    format: Format,
    filter: Filter,
}

impl Lines {
    fn heading(&self) {
        if self.format == Format::Table {
            output::print(&line("AT (UTC)", "ID", "STATE", "MODEL", ""));
        }
    }

    fn print(&self, json: &str) -> Result<(), End> {
        let job: Job = read(json.as_bytes())?;
        if !self.filter.takes(&job) {
            return Ok(());
        }
        let text = match self.format {
            Format::Table => line(&output::second(job.changed_at()), &job.id, &job.state, job.model(), &job.outcome()),
            // There is no end at which one document could be closed.
            Format::Json | Format::Jsonl => format!("{json}\n"),
        };
        if output::try_print(&text) { Ok(()) } else { Err(End::Unread) }
    }

    fn wants_open(&self) -> bool {
        let wanted = &self.filter.state;
        wanted.is_empty() || wanted.iter().any(|state| !matches!(state.as_str(), "succeeded" | "failed" | "canceled"))
    }
}

impl Filter {
    fn takes(&self, job: &Job) -> bool {
        let is_at = |pair: &String| {
            pair.split_once('=').is_some_and(|(path, value)| job.metadata_text(path).as_deref() == Some(value))
        };
        (self.state.is_empty() || self.state.contains(&job.state))
            && self.model.as_deref().is_none_or(|model| job.model() == model)
            && self.tag.as_deref().is_none_or(|tag| job.has_tag(tag))
            && self.metadata.iter().all(is_at)
    }
}

/// The columns stand where they stand, since no row waits for those after it.
fn line(at: &str, id: &str, state: &str, model: &str, outcome: &str) -> String {
    let line = format!("{at:<19}  {id:<36}  {state:<9}  {:<28}  {}", clean(model), clean(outcome));
    format!("{}\n", line.trim_end())
}
