//! `falconer bench`: measures this machine with this binary. Every measurement gets a fresh database on a Postgres that
//! keeps its promises, and the server under measurement is a process of its own wherever it speaks HTTP.
//!
//! The load is made here and shares the machine's cores, so figures are floors. Rounds visit all measurements in turn,
//! since disks of shared machines change their mood.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are rounded for people, and counts of one run are small"
)]

mod accepts;
mod auth;
mod backlog;
mod callbacks;
mod claims;
mod flood;
mod idle;
mod meter;
mod ndjson;
mod report;
mod search;
mod sending;
mod site;
mod slots;
mod stub;
mod wire;
mod workers;

use crate::config::{self, Overrides};
use anyhow::Result;
use clap::{Args, ValueEnum};
use report::Figure;
use site::{Round, Site};
use std::{io::Write, path::PathBuf, process::ExitCode};
use store::Store;

/// Flags of `falconer bench`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  falconer bench --rounds 1")]
pub(crate) struct BenchArgs {
    /// What to measure [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<Bench>,
    /// How much work: what the goal's rate would do in so many seconds
    #[arg(long, default_value_t = 4, value_name = "S", value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// Connections that call at once
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=2000))]
    connections: u16,
    /// Rounds over all that is measured
    #[arg(long, default_value_t = 3, value_name = "R", value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Also list the statements that took Postgres the most time
    #[arg(long)]
    statements: bool,
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// Signed callbacks to the listener: settled, kept, repeated
    CallbacksDurable,
    /// POST /v1/jobs
    Accept,
    /// POST /v1/jobs/batch, arrays of 1,000
    AcceptBatch,
    /// POST /v1/jobs/batch, one upload of 25,000 lines a second; `--seconds 40` sends a million
    Ndjson,
    /// Jobs accepted by calls of the store
    AcceptStore,
    /// Jobs accepted by `select falconer.submit_job(…)`, each in a transaction of its own
    AcceptSql,
    /// What it costs to know who calls
    Auth,
    /// A backlog sent to a fal that answers at once, and recorded
    Dispatch,
    /// Claimed and finished by calls of the store, also with 100,000 waiting
    ClaimFinish,
    /// Claimed and finished by apalis workers
    ClaimFinishApalis,
    /// Accepted, sent, called back, settled
    Cycle,
    /// From the commit of a lone job to the start of its handler
    IdleLatency,
    /// Use of 2, 10 and 40 slots by jobs of 1 to 2 s, also with 30 % of the callbacks lost
    Slots,
    /// Resident memory of a server that waits
    IdleMemory,
    /// GET /v1/jobs by every filter, among 250,000 jobs a second: a million by default
    Search,
    /// Genuine callbacks beside floods of junk and 2,000 slow sockets (needs `ulimit -n` of 5,000)
    Flood,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// What every measurement is told.
#[derive(Clone, Copy, Debug)]
struct Options {
    seconds: usize,
    connections: usize,
    statements: bool,
}

impl BenchArgs {
    pub(crate) async fn run(self, config: Option<PathBuf>) -> Result<ExitCode> {
        let site = Site::open(&config::load(config, &Overrides::new())?).await?;
        let options =
            Options { seconds: self.seconds.into(), connections: self.connections.into(), statements: self.statements };
        let names = if self.names.is_empty() { Bench::value_variants().to_vec() } else { self.names };
        let mut figures = Vec::new();
        for number in 1..=self.rounds {
            for name in &names {
                let found = name.measure(&site, &options).await?;
                tracing::debug!(round = number, bench = ?name, figures = ?found, "measured");
                figures.extend(found);
            }
        }
        let shown = match self.output {
            Output::Table => report::table(&figures),
            Output::Json => report::json(&figures),
        };
        std::io::stdout().write_all(shown.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Bench {
    async fn measure(self, site: &Site, options: &Options) -> Result<Vec<Figure>> {
        if self == Self::Slots {
            return measure_slots(site, options).await;
        }
        let round = site.round().await?;
        let figures = self.measure_in(&round, options).await;
        site.clear(round).await?;
        figures
    }

    async fn measure_in(self, round: &Round, options: &Options) -> Result<Vec<Figure>> {
        match self {
            Self::CallbacksDurable => callbacks::run(options, round).await,
            Self::Accept => accepts::single(options, round).await,
            Self::AcceptBatch => accepts::batched(options, round).await,
            Self::Ndjson => ndjson::run(options, round).await,
            Self::AcceptStore => accepts::store_calls(options, round).await,
            Self::AcceptSql => accepts::sql_calls(options, round).await,
            Self::Auth => auth::run(options, round).await,
            Self::Dispatch => sending::dispatch(options, round).await,
            Self::ClaimFinish => claims::store_calls(options, round).await,
            Self::ClaimFinishApalis => claims::by_workers(options, round).await,
            Self::Cycle => sending::cycle(options, round).await,
            Self::IdleLatency => idle::latency(options, round).await,
            Self::IdleMemory => idle::memory(options, round).await,
            Self::Search => search::run(options, round).await,
            Self::Flood => flood::run(options, round).await,
            Self::Slots => unreachable!("every account of it has a round of its own"),
        }
    }
}

async fn measure_slots(site: &Site, options: &Options) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for lost in [0.0, 0.3] {
        for count in [2, 10, 40] {
            let round = site.round().await?;
            let figure = slots::run(options, &round, count, lost).await;
            site.clear(round).await?;
            figures.push(figure?);
        }
    }
    Ok(figures)
}

impl Options {
    /// Lists the dearest statements, where that was asked for.
    async fn show_statements(&self, name: &str, store: &Store) {
        if !self.statements {
            return;
        }
        match store::bench::dearest_statements(store, 16).await {
            Ok(statements) => {
                eprintln!("{name}:");
                for (ms, calls, text) in statements {
                    eprintln!("  {ms:9.1} ms {calls:7} calls  {text}");
                }
            }
            Err(_) => eprintln!("{name}: pg_stat_statements is not loaded"),
        }
    }
}
