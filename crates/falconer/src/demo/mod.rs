//! `falconer demo`: hundreds of jobs, a fal that loses a third of its calls, and an account of where every job went.
//!
//! It is a comparison of three witnesses: what the caller was told over HTTP, what Postgres holds, and what the simulated fal
//! itself saw. Every number that is printed is counted or measured; one that differs between the witnesses fails the run.
//! What is not here: figures of throughput, which `falconer bench` measures, and the dashboard.

mod account;
mod bars;
mod checks;
mod evidence;
mod faults;
mod fire;
mod stage;
mod summary;
#[cfg(test)]
mod tests;
mod watch;
mod work;

use crate::random;
use account::Account;
use anyhow::Result;
use bars::Display;
use clap::{Args, value_parser};
use evidence::Evidence;
use stage::Stage;
use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::Instant,
};
use watch::{Seen, Watched};

/// Flags of `falconer demo`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Exit codes: 0 every job came home and every total agrees · 1 not so · 130 interrupted\n\n\
    Example:\n  falconer demo --slots 2 --jobs 100 --stay")]
pub(crate) struct DemoArgs {
    /// Requests that the account may run at once
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(2..=40))]
    slots: u32,
    /// Jobs to fire
    #[arg(long, default_value_t = 300, value_parser = value_parser!(u32).range(1..=20_000))]
    jobs: u32,
    /// Decides jobs, run times and faults [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Leave everything running until Ctrl-C, and say what to try
    #[arg(long)]
    stay: bool,
    /// Keep the database and the logs in this directory [default: a directory that is removed]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Plain lines, also on a terminal
    #[arg(long)]
    plain: bool,
}

/// How the jobs went.
enum End {
    Agreed,
    Differed,
    Interrupted,
}

impl DemoArgs {
    pub(crate) async fn run(self, file: Option<PathBuf>) -> Result<ExitCode> {
        let seed = self.seed.unwrap_or_else(|| u64::from(u16::from_le_bytes(random::bytes())));
        eprintln!("starting a private Postgres, a simulated fal and Falconer");
        let stage = Stage::start(&self, seed, file).await?;
        let outcome = self.play(&stage, seed).await;
        if self.stay && matches!(outcome, Ok(End::Agreed | End::Differed)) {
            print(&summary::what_next(&stage)?);
            stage.server.told_to_stop().cancelled().await;
        }
        if !matches!(outcome, Ok(End::Agreed | End::Interrupted)) {
            stage.keep_evidence()?;
        }
        stage.stop().await?;
        Ok(match outcome? {
            End::Agreed => ExitCode::SUCCESS,
            End::Differed => ExitCode::FAILURE,
            End::Interrupted => ExitCode::from(130),
        })
    }

    async fn play(&self, stage: &Stage, seed: u64) -> Result<End> {
        eprintln!("{}", summary::opening(stage, self.jobs, seed));
        let display = Display::start(self.jobs, self.slots, self.plain || !std::io::stderr().is_terminal());
        let (began, fired) = (Instant::now(), fire::Fired::default());
        stage.simulator.reset_occupancy();
        let (watching, firing) = tokio::join!(
            watch::until_home(stage, &fired, self.jobs, &display),
            fire::all(stage, work::jobs(seed, self.jobs), &fired),
        );
        display.finish();
        let firing = firing?;
        let Watched { seen, occupancy } = watching?;
        if let Seen::Interrupted = seen {
            eprintln!("interrupted; stopping");
            return Ok(End::Interrupted);
        }
        let took = began.elapsed();
        let evidence = Evidence::gather(stage, firing.acknowledged).await?;
        let checks = checks::all(&evidence);
        let account = Account::of(&evidence);
        print(&summary::table(&account, firing.took, took, occupancy.as_ref()));
        print(&summary::unknown(&account));
        print(&summary::checks(&checks));
        Ok(if checks.iter().all(checks::Check::holds) { End::Agreed } else { End::Differed })
    }
}

/// Writes to standard output. A reader who has gone away is no error.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
