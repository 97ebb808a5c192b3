//! Natural group commit: while one batch is being committed, the next one gathers.
//!
//! An idle system adds no wait, since a lone item is a batch of one. A batch owns its items, so a caller who goes away
//! cancels nothing for the others.

use crate::{
    error::{Error, Result},
    log_limit::LogLimit,
};
use futures::{FutureExt as _, future::BoxFuture};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Batches that lose to another transaction are repeated this often before their callers hear of it.
const REPEATS_MAX: u32 = 5;

type Waiting<I, O> = (I, oneshot::Sender<Result<O>>);
type Run<I, O> = dyn Fn(Vec<I>) -> BoxFuture<'static, Result<Vec<O>>> + Send + Sync;

/// Where callers hand in single items that are committed together. Cheap to clone.
#[derive(Debug)]
pub struct Batcher<I, O> {
    waiting: mpsc::Sender<Waiting<I, O>>,
}

impl<I, O> Clone for Batcher<I, O> {
    fn clone(&self) -> Self {
        Self { waiting: self.waiting.clone() }
    }
}

/// How a batcher is run.
#[derive(Clone, Copy, Debug)]
pub struct BatchSettings {
    pub name: &'static str,
    /// Batches in flight at once. Two keep the disk busy while one of them talks to Postgres.
    pub writers: usize,
    /// Items of one batch.
    pub items_max: usize,
    /// Items that may wait; more make callers wait for room.
    pub waiting_max: usize,
}

impl<I, O> Batcher<I, O>
where
    I: Clone + Send + Sync + 'static,
    O: Send + 'static,
{
    /// Starts the writers on `tasks`. They end when every handle is gone and the last batch is committed.
    ///
    /// `run` gets a batch and answers with one value for each item, in order. It must be safe to repeat, since a
    /// batch whose COMMIT got no answer is run again.
    pub fn start<F>(settings: BatchSettings, tasks: &TaskTracker, stop: &CancellationToken, run: F) -> Self
    where
        F: Fn(Vec<I>) -> BoxFuture<'static, Result<Vec<O>>> + Send + Sync + 'static,
    {
        let (waiting, queue) = mpsc::channel(settings.waiting_max);
        let queue = Arc::new(Mutex::new(queue));
        let run: Arc<Run<I, O>> = Arc::new(run);
        let outages = LogLimit::default();
        for _ in 0..settings.writers {
            tasks.spawn(write_batches(settings, Arc::clone(&queue), Arc::clone(&run), outages.clone(), stop.clone()));
        }
        Self { waiting }
    }

    /// Hands in one item and waits until the batch that holds it is committed.
    pub async fn submit(&self, item: I) -> Result<O> {
        let (answer, answered) = oneshot::channel();
        self.waiting.send((item, answer)).await.map_err(|_| Error::Stopping)?;
        answered.await.unwrap_or(Err(Error::Stopping))
    }
}

async fn write_batches<I, O>(
    settings: BatchSettings,
    queue: Arc<Mutex<mpsc::Receiver<Waiting<I, O>>>>,
    run: Arc<Run<I, O>>,
    outages: LogLimit,
    stop: CancellationToken,
) where
    I: Clone + Send + Sync + 'static,
    O: Send + 'static,
{
    loop {
        let mut batch = Vec::new();
        let taken = {
            let mut queue = queue.lock().await;
            tokio::select! {
                taken = queue.recv_many(&mut batch, settings.items_max) => taken,
                // Whoever asked to stop has seen to it that nobody waits for an answer any more.
                () = stop.cancelled() => 0,
            }
        };
        if taken == 0 {
            return;
        }
        metrics::histogram!("falconer_batch_items", "batch" => settings.name)
            .record(u32::try_from(taken).map_or(f64::MAX, f64::from));
        let (items, answers): (Vec<I>, Vec<_>) = batch.into_iter().unzip();
        for (answer, outcome) in answers.into_iter().zip(run_to_the_end(settings.name, items, &run, &outages).await) {
            // A caller who went away does not need the answer.
            let _ = answer.send(outcome);
        }
    }
}

/// Runs a batch, repeats it where only chance was against it, and halves it until a row that cannot be stored stands
/// alone.
async fn run_to_the_end<I, O>(
    name: &'static str,
    items: Vec<I>,
    run: &Arc<Run<I, O>>,
    outages: &LogLimit,
) -> Vec<Result<O>>
where
    I: Clone + Send + Sync + 'static,
    O: Send + 'static,
{
    let mut outcomes: Vec<Option<Result<O>>> = items.iter().map(|_| None).collect();
    let mut pending = vec![(0, items)];
    while let Some((start, mut part)) = pending.pop() {
        match run_repeating(part.clone(), run).await {
            Ok(answers) => {
                for (offset, answer) in answers.into_iter().enumerate() {
                    outcomes[start + offset] = Some(Ok(answer));
                }
            }
            Err(Error::Row(_) | Error::Inconsistent { .. } | Error::Panicked) if part.len() > 1 => {
                let second = part.split_off(part.len() / 2);
                pending.push((start + part.len(), second));
                pending.push((start, part));
            }
            Err(error) => {
                // Callers try again and again while the database is away; what is wrong with a row is said each time.
                if let Some(missed) = if error.is_unavailable() { outages.pass() } else { Some(0) } {
                    let cause: &dyn std::error::Error = &error;
                    tracing::warn!(batch = name, items = part.len(), error = cause, missed, "batch failed");
                }
                let error = Arc::new(error);
                for offset in 0..part.len() {
                    outcomes[start + offset] = Some(Err(Error::Batch(Arc::clone(&error))));
                }
            }
        }
    }
    outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(Error::Stopping))).collect()
}

async fn run_repeating<I, O>(items: Vec<I>, run: &Arc<Run<I, O>>) -> Result<Vec<O>>
where
    I: Clone,
{
    let mut repeats = 0;
    loop {
        // A panic would end this writer for good, and with the last one the batcher.
        match AssertUnwindSafe(run(items.clone())).catch_unwind().await.unwrap_or(Err(Error::Panicked)) {
            Err(Error::Repeat(_)) if repeats < REPEATS_MAX => {
                repeats += 1;
                // Spread by length, so that two batches that met do not meet again.
                let spread = u64::from(repeats) * 3 + (items.len() % 7) as u64;
                tokio::time::sleep(Duration::from_millis(spread)).await;
            }
            answered => return answered,
        }
    }
}

#[cfg(test)]
mod tests;
