//! Waits for a job's end, across restarts of the server.

use super::view::Job;
use crate::commands::{
    client::{Call, Client, read},
    exit::{Exit, Refusal},
    output::{self, Format},
};
use anyhow::Result;
use bytes::Bytes;
use clap::Args;
use std::time::{Duration, Instant};

/// The longest that one request waits.
const POLL_MAX: Duration = Duration::from_secs(50);
/// Between two requests where the server does not wait for us.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to wait, and for what.
#[derive(Clone, Debug, Args)]
pub(crate) struct WaitArgs {
    /// How long to wait [default: until it ends]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub(crate) timeout: Option<Duration>,
    /// Print fal's output instead of the job, byte for byte
    #[arg(long)]
    pub(crate) result: bool,
}

impl WaitArgs {
    /// Whether a flag says how to wait, and so that it is wanted.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.timeout.is_some() || self.result
    }
}

/// Waits, prints the job or its result, and tells by the exit code how it ended.
pub(crate) async fn run(client: &Client, id: &str, args: &WaitArgs, format: Format) -> Result<Exit> {
    let body = until_end(client, id, args.timeout, false).await?;
    let job: Job = read(&body)?;
    if args.result && job.has_succeeded() {
        return result(client, id).await;
    }
    if !args.result {
        print(&body, format)?;
    }
    if job.has_succeeded() {
        return Ok(Exit::Done);
    }
    if !job.has_ended() {
        return Err(Refusal::new(Exit::TimedOut, format!("time is up: the job {id} is still {}", job.state)).into());
    }
    let why = job.error.as_ref().map(|error| format!(": {}", output::clean(&error.line()))).unwrap_or_default();
    Err(Refusal::new(Exit::JobFailed, format!("the job {id} {}{why}", ended_how(&job.state))).into())
}

/// Prints fal's output as it is.
pub(crate) async fn result(client: &Client, id: &str) -> Result<Exit> {
    let body = client.send(&Call::get(format!("/v1/jobs/{id}/result"))).await?;
    output::print_result(&body);
    Ok(Exit::Done)
}

/// Prints a job that the server told of.
pub(crate) fn print(body: &Bytes, format: Format) -> Result<()> {
    let job: Job = read(body)?;
    output::print(&output::one(format, &String::from_utf8_lossy(body), &job.rows()));
    Ok(())
}

/// Gives the job as it is when it has ended or when the time is over. A server that is away is waited for if it was there
/// before, as `was_there` may tell.
pub(crate) async fn until_end(client: &Client, id: &str, timeout: Option<Duration>, was_there: bool) -> Result<Bytes> {
    let began = Instant::now();
    let left = || timeout.map_or(POLL_MAX, |timeout| timeout.saturating_sub(began.elapsed()).min(POLL_MAX));
    let mut was_there = was_there;
    loop {
        let (poll, asked) = (left(), Instant::now());
        let wait = Call::get(format!("/v1/jobs/{id}/wait")).query("timeout", Some(format!("{}ms", poll.as_millis())));
        match client.try_send(&wait.patience(poll)).await {
            Ok(body) if read::<Job>(&body)?.has_ended() || left().is_zero() => return Ok(body),
            Ok(_) => was_there = true,
            Err(error) if error.is_temporary() && was_there && !left().is_zero() => {
                tracing::debug!(error = &error as &dyn std::error::Error, "the server is away");
            }
            Err(error) => return Err(error.into_end()),
        }
        // A server that drains answers at once; asking it again at once would help nobody.
        if asked.elapsed() < poll {
            tokio::time::sleep(PAUSE.min(left())).await;
        }
    }
}

fn ended_how(state: &str) -> &'static str {
    if state == "canceled" { "was canceled" } else { "failed" }
}
