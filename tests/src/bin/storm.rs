//! `storm`: runs one storm, prints its report, and fails where the report does.

use clap::{Parser, ValueEnum};
use std::{process::ExitCode, time::Duration};
use stories::storm::{self, History, Plan, Policy};

/// Two servers under load while everything fails; then peace, and a judgement.
#[derive(Debug, Parser)]
struct Args {
    /// Decides the schedule of faults, the load, and what fal does wrong.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For how long jobs come and faults happen.
    #[arg(long, default_value_t = 3.0, conflicts_with = "seconds")]
    minutes: f64,
    #[arg(long)]
    seconds: Option<u64>,
    /// Jobs per second.
    #[arg(long, default_value_t = 35.0)]
    rate: f64,
    /// What jobs say in `on_unknown`.
    #[arg(long, value_enum, default_value = "mixed")]
    policy: Policy,
    /// How fal's list of past requests behaves.
    #[arg(long, value_enum, default_value = "on")]
    history: History,
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let length = args.seconds.map_or_else(|| Duration::from_secs_f64(args.minutes * 60.0), Duration::from_secs);
    let Args { seed, rate, policy, history, .. } = args;
    let report = storm::run(Plan { seed, length, rate, policy, history }).await?;
    match args.output {
        Output::Table => print!("{}", report.table()),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
