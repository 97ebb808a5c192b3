//! `falconer jobs submit` of many jobs: from files and standard input, sent while they are read.

mod block;
mod follow;
mod overrides;
mod progress;
mod read;
mod report;
mod upload;

use crate::commands::{
    client::Client,
    exit::{Exit, Refusal},
    jobs::fields::Flag,
    output::OutputArgs,
};
use crate::random;
use anyhow::{Context, Result};
use block::Fate;
use follow::Following;
use overrides::Overrides;
use progress::Bar;
use read::Record;
use report::{Accepted, Counts, Report};
use sha2::{Digest, Sha256};
use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};
use submitter::JobRequest;
use tokio::sync::mpsc;
use upload::{Answered, Upload};
use uuid::Builder;

/// Jobs that are read ahead of those that are sent.
const AHEAD: usize = 64;

/// What to submit, and what to do then.
#[derive(Debug)]
pub(super) struct Many {
    /// `-` is standard input.
    pub(super) files: Vec<PathBuf>,
    pub(super) flags: Vec<Flag>,
    pub(super) key: Key,
    pub(super) wait: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) out: Option<PathBuf>,
    pub(super) output: OutputArgs,
}

/// Under which key the jobs are sent.
#[derive(Clone, Debug)]
pub(super) enum Key {
    New,
    Given(String),
    /// Made of what the files hold and the flags say.
    OfContent,
}

impl Many {
    /// Checks every job and sends none.
    pub(super) async fn dry_run(self) -> Result<Exit> {
        let (mut records, mut report) = (self.records()?, Report::new(self.output.format));
        let (mut index, mut broken) = (0, 0);
        while let Some(record) = records.recv().await.transpose()? {
            if let Err(invalid) = JobRequest::parse(&record.bytes) {
                report.broken(index, &record.place, &invalid.0)?;
                broken += 1;
            }
            index += 1;
        }
        report.end()?;
        eprintln!("{} read: {} valid, {broken} not; nothing was sent", jobs(index as u64), index - broken);
        Ok(if broken == 0 { Exit::Done } else { Exit::Refused })
    }

    /// Sends all jobs, waits for them where that is wished, and tells by the exit code how it went.
    pub(super) async fn run(self, client: &Client) -> Result<Exit> {
        if let Some(out) = &self.out {
            std::fs::create_dir_all(out).with_context(|| format!("failed to make {}", out.display()))?;
        }
        let key = self.key()?;
        let records = self.records()?;
        let (mut report, mut counts) = (Report::new(self.output.format), Counts::default());
        let sent = tokio::select! {
            sent = self.send(client, &key, records, &mut report, &mut counts) => sent,
            _ = tokio::signal::ctrl_c() => Err(Refusal::new(Exit::Interrupted, "interrupted").into()),
        };
        let accepted = match sent {
            Ok(accepted) => accepted,
            Err(error) => {
                report.end()?;
                tell_key(&error, counts, &key);
                return Err(error);
            }
        };
        if counts == Counts::default() {
            let line = format!("there are no jobs in {}", names(&self.files));
            return Err(Refusal::new(Exit::Usage, line).into());
        }
        eprintln!("{} accepted, {} refused", jobs(counts.accepted), counts.refused);
        if self.waits() {
            let following = Following { client, timeout: self.timeout, out: self.out.as_ref() };
            tokio::select! {
                ended = following.run(accepted, &mut report, &mut counts) => ended?,
                _ = tokio::signal::ctrl_c() => {
                    return Err(Refusal::new(Exit::Interrupted, "no longer waiting; the jobs go on").into());
                }
            }
            eprintln!("{} done, {} failed, {} still open", counts.succeeded, counts.failed, counts.open);
        }
        report.end()?;
        Ok(counts.exit())
    }

    fn waits(&self) -> bool {
        self.wait || self.timeout.is_some() || self.out.is_some()
    }

    /// Sends all jobs, and gives those to wait for.
    async fn send(
        &self,
        client: &Client,
        key: &str,
        records: mpsc::Receiver<Result<Record>>,
        report: &mut Report,
        counts: &mut Counts,
    ) -> Result<Vec<Accepted>> {
        let bar = Bar::sending(bytes_of(&self.files));
        let (mut accepted, mut bytes) = (Vec::new(), 0);
        let mut answered = |answered: Answered| {
            bytes += answered.record.bytes.len() as u64 + 1;
            match &answered.fate {
                Fate::Accepted(job) if self.waits() => accepted.push(Accepted::of(&answered, job)?),
                Fate::Accepted(job) => bar.aside(|| report.job(answered.index, &answered.record.place, job))?,
                Fate::Refused(problem) => {
                    bar.clear_of(|| report.refused(answered.index, &answered.record.place, problem));
                }
            }
            match answered.fate {
                Fate::Accepted(_) => counts.accepted += 1,
                Fate::Refused(_) => counts.refused += 1,
            }
            bar.sent(bytes, *counts);
            Ok(())
        };
        let mut upload = Upload { client, key: key.to_owned(), records, answered: &mut answered };
        let sent = upload.run().await;
        bar.end();
        sent.map(|()| accepted)
    }

    /// Reads on a thread of its own, as far ahead as there is room.
    fn records(&self) -> Result<mpsc::Receiver<Result<Record>>> {
        let sources = read::open(&self.files)?;
        let overrides = Overrides(self.flags.clone());
        let (records, received) = mpsc::channel(AHEAD);
        // Not one of the runtime's threads, which would be waited for at the end although standard input stays silent.
        std::thread::spawn(move || {
            for source in sources {
                let read = source.read(&mut |record| {
                    let bytes = overrides.apply(record.bytes);
                    records.blocking_send(Ok(Record { bytes, ..record })).is_ok()
                });
                if let Err(error) = read {
                    // Nobody waits for it where the command has ended.
                    let _ = records.blocking_send(Err(error));
                    return;
                }
            }
        });
        Ok(received)
    }

    fn key(&self) -> Result<String> {
        match &self.key {
            Key::New => Ok(Builder::from_random_bytes(random::bytes()).into_uuid().to_string()),
            Key::Given(key) => Ok(key.clone()),
            Key::OfContent => self.content_key(),
        }
    }

    fn content_key(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for (name, value) in &self.flags {
            hash.update(format!("{name}\n{value}\n"));
        }
        for path in &self.files {
            if path == Path::new("-") {
                let rule = "reads everything twice, which standard input cannot be: give a file, or --idempotency-key";
                return Err(Refusal::usage("--idempotent", rule).into());
            }
            let failed = || format!("failed to read {}", path.display());
            let mut file = std::fs::File::open(path).with_context(failed)?;
            let mut part = vec![0; 64 * 1024];
            loop {
                let read = file.read(&mut part).with_context(failed)?;
                if read == 0 {
                    break;
                }
                hash.update(&part[..read]);
            }
        }
        Ok(format!("content-{}", hex::encode(&hash.finalize()[..16])))
    }
}

/// Says how to go on where some of the jobs may have been made.
fn tell_key(error: &anyhow::Error, counts: Counts, key: &str) {
    let refused = error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.exit == Exit::Refused);
    if counts != Counts::default() || !refused {
        let accepted = jobs(counts.accepted);
        eprintln!(
            "{accepted} accepted until then; the same command with --idempotency-key {key} makes none of them twice"
        );
    }
}

fn names(files: &[PathBuf]) -> String {
    let name =
        |path: &PathBuf| if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    files.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The bytes of all files, where all of them are files.
fn bytes_of(files: &[PathBuf]) -> Option<u64> {
    files
        .iter()
        .map(|path| std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| file.len()))
        .sum()
}

fn jobs(count: u64) -> String {
    if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") }
}
