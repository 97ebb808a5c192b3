//! Runs a command with a private Postgres: `with-postgres [--dir DIR] [--durable] -- COMMAND…`
//!
//! The command finds the cluster's database `falconer` in `DATABASE_URL`. Its exit code becomes ours.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::thread;

use anyhow::{Context, Result, bail};
use dev_postgres::{Cluster, ClusterOptions, Durability};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const USAGE: &str = "usage: with-postgres [--dir DIR] [--durable] -- COMMAND [ARGUMENT]...";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("with-postgres: {error:#}");
            ExitCode::from(125)
        }
    }
}

fn run() -> Result<ExitCode> {
    let arguments = Arguments::parse(env::args_os().skip(1))?;
    // Taken before the start, so that a signal during it waits until there is a command to end.
    let signals = Signals::new([SIGINT, SIGTERM]).context("cannot take over the signals")?;
    let cluster = arguments.start_cluster()?;
    cluster.create_database("falconer")?;
    let mut command = Command::new(&arguments.program);
    let child = command.args(&arguments.rest).env("DATABASE_URL", cluster.url("falconer")).spawn();
    let mut child = child.with_context(|| format!("cannot run {}", arguments.program.display()))?;
    pass_signals_on(signals, &child);
    let status = child.wait().context("cannot wait for the command")?;
    cluster.stop()?;
    Ok(exit_code(status))
}

struct Arguments {
    dir: Option<PathBuf>,
    durability: Durability,
    program: OsString,
    rest: Vec<OsString>,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = OsString>) -> Result<Self> {
        let (mut dir, mut durability) = (None, Durability::ThrowAway);
        loop {
            let option = given.next().context(USAGE)?;
            match option.to_str() {
                Some("--dir") => dir = Some(PathBuf::from(given.next().context(USAGE)?)),
                Some("--durable") => durability = Durability::Durable,
                Some("--") => break,
                _ => bail!("{USAGE}"),
            }
        }
        Ok(Self { dir, durability, program: given.next().context(USAGE)?, rest: given.collect() })
    }

    fn start_cluster(&self) -> Result<Cluster> {
        let mut settings = vec![("max_connections".to_owned(), "300".to_owned())];
        if let Some(dir) = self.dir.clone() {
            return Cluster::start(ClusterOptions { dir, durability: self.durability, settings, port: 5432 });
        }
        if self.durability == Durability::Durable {
            // The directory is thrown away all the same; what counts is that commits cost what they cost.
            let durable = ["fsync", "full_page_writes"];
            settings.extend(durable.map(|name| (name.to_owned(), "on".to_owned())));
        }
        Cluster::temporary(settings)
    }
}

/// Hands SIGTERM on to the command, which is then waited for as usual.
///
/// SIGINT is not handed on: it comes from the terminal, which sends it to the command as well.
fn pass_signals_on(mut signals: Signals, child: &Child) {
    let pid = child.id().to_string();
    thread::spawn(move || {
        for _ in signals.forever().filter(|&signal| signal == SIGTERM) {
            // A command that has just ended is no longer there to be told.
            let _ = Command::new("/bin/sh").args(["-c", "kill -s TERM \"$1\"", "sh", &pid]).status();
        }
    });
}

/// Returns the command's own code, or as shells do 128 and the signal's number.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
