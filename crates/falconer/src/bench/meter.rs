//! What a measurement costs: statements, WAL, and processor time of server and Postgres.

use anyhow::Result;
use std::{fs, time::Duration};
use store::{Store, bench};

/// Clock ticks of a second in `/proc` (`USER_HZ`), which is 100 on every Linux of today.
const TICKS: f64 = 100.0;

/// Counters at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    counters: bench::Counters,
    /// Seconds of processor time.
    server: Option<f64>,
    postgres: Option<f64>,
}

/// What one item cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) statements: Option<f64>,
    pub(super) wal_bytes: f64,
    pub(super) server: Option<Duration>,
    pub(super) postgres: Option<Duration>,
}

impl Moment {
    /// Reads the counters; `server` is the process under measurement.
    pub(super) async fn read(store: &Store, server: Option<u32>) -> Result<Self> {
        let counters = bench::counters(store).await?;
        let postgres = u32::try_from(counters.backend_pid).ok().and_then(postgres_seconds);
        Ok(Self { counters, server: server.and_then(process_seconds), postgres })
    }

    /// What each of `items` cost since then.
    pub(super) fn cost_until(&self, later: &Self, items: usize) -> Cost {
        let each = |total: f64| total / items.max(1) as f64;
        let time = |before: Option<f64>, after: Option<f64>| {
            before.zip(after).map(|(before, after)| Duration::from_secs_f64(each((after - before).max(0.0))))
        };
        let statements = self.counters.statements.zip(later.counters.statements);
        Cost {
            statements: statements.map(|(before, after)| each((after - before) as f64)),
            wal_bytes: each((later.counters.wal_bytes - self.counters.wal_bytes) as f64),
            server: time(self.server, later.server),
            postgres: time(self.postgres, later.postgres),
        }
    }
}

/// Resident memory of a process, in bytes.
pub(super) fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

struct ProcessStat {
    parent: u32,
    own: f64,
    reaped_children: f64,
}

/// Processor time of one process.
fn process_seconds(pid: u32) -> Option<f64> {
    stat(pid).map(|stat| stat.own)
}

/// Processor time of a whole server, found through one of its backends: the postmaster, what lives below it, and what
/// has ended. Nothing where it runs elsewhere.
fn postgres_seconds(backend: u32) -> Option<f64> {
    let postmaster = stat(backend)?.parent;
    let own = stat(postmaster)?;
    let mut total = own.own + own.reaped_children;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some(child) = stat(pid)
            && child.parent == postmaster
        {
            total += child.own;
        }
    }
    Some(total)
}

fn stat(pid: u32) -> Option<ProcessStat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; what counts comes after it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    Some(ProcessStat {
        parent: fields.get(1)?.parse().ok()?,
        own: (ticks(11)? + ticks(12)?) / TICKS,
        reaped_children: (ticks(13)? + ticks(14)?) / TICKS,
    })
}
