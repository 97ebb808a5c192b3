//! Settle: records what was learnt or decided about attempts and jobs. Callback, answer, poll, cancel and deadline all
//! end here.
//!
//! One batch is one transaction: lock the jobs in order, then their attempts; let `domain` decide each entry in turn; write
//! back what changed, with one event for each job that ended. `load` reads and locks, `decide` and `callback` think,
//! `carry` takes their decisions into the rows, `write` writes.

mod callback;
mod carry;
mod decide;
mod load;
mod milestones;
mod news;
mod record;
mod resolve;
mod seeded;
mod write;

pub use callback::{Disposition, KeptCause, RejectedCause};
pub use news::{AttemptNews, CallbackNews, Entry, Guard, JobNews, ResolveNews, Said, Source};
pub use resolve::ResolveOutcome;

use crate::{
    Store,
    batch::{BatchSettings, Batcher},
    error::Result,
    model_stats::ModelStats,
    wake::Wakes,
};
use domain::{Late, RetryPolicy};
use milestones::Milestones;
use sqlx::PgPool;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Batches of each kind under way at once.
const WRITERS: usize = 2;

/// What became of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// News of an attempt: applied, a repeat, or too late.
    Attempt(AttemptOutcome),
    Callback(Disposition),
    Job(JobOutcome),
    Resolved(ResolveOutcome),
}

/// What news did to an attempt and its job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptOutcome {
    pub attempt_changed: bool,
    pub job_changed: bool,
    /// The news contradict what is recorded, and were not applied.
    pub conflict: bool,
    pub late: Option<Late>,
}

/// What a wish did to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    Changed,
    /// The job had ended, or the wish was known.
    Unchanged {
        terminal: bool,
    },
    /// No such job, or another project's.
    NotFound,
}

/// Settles `entries` in one transaction and answers one for one, in order.
///
/// Safe to repeat: what is recorded already changes nothing.
pub async fn settle(pool: &PgPool, retry: RetryPolicy, entries: &[Entry]) -> Result<Batch> {
    let mut tx = pool.begin().await?;
    let mut loaded = load::load(&mut tx, entries).await?;
    let answers = entries.iter().map(|entry| decide::decide(&mut loaded, retry, entry)).collect();
    let milestones = Milestones::of(&loaded);
    milestones.before_write();
    let effects = write::write(&mut tx, loaded).await?;
    milestones.before_commit();
    tx.commit().await?;
    milestones.after_commit();
    Ok(Batch { answers, effects })
}

/// Prepares the statements of settling on as many connections as settle at once, and rolls back what they would
/// have written, which is nothing.
///
/// A connection prepares a statement when it first runs it, and plans it; the first callbacks after a start would pay for
/// that while fal and a free slot wait.
pub async fn warm(store: &Store) -> Result<()> {
    for pool in [&store.pools.callbacks, &store.pools.work] {
        // All are held at once: one after the other would be the same connection each time.
        let connections = WRITERS.min(pool.options().get_max_connections() as usize);
        let begin = (0..connections).map(|_| pool.begin());
        let mut open = futures::future::try_join_all(begin).await?;
        for tx in &mut open {
            load::warm(tx).await?;
            write::warm(tx).await?;
        }
        for tx in open {
            tx.rollback().await?;
        }
    }
    Ok(())
}

/// A settled batch: the answers, and what others may want to be woken for.
#[derive(Debug)]
pub struct Batch {
    pub answers: Vec<Settled>,
    pub effects: Effects,
}

/// What a batch changed for others.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// A slot may have become free, or a job ready again.
    pub dispatch: bool,
    /// An attempt wants a look at once.
    pub reconcile: bool,
    pub jobs_ended: usize,
    /// A job or an attempt is no longer as it was.
    pub moved: bool,
    /// Model and milliseconds from our submit to fal's callback, for each success that came by callback.
    pub latencies: Vec<(String, u64)>,
    /// Successes that a look found before their callback came.
    pub found_by_look: usize,
}

/// Where single entries are handed in and settled together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Settler {
    callbacks: Batcher<Entry, Settled>,
    work: Batcher<Entry, Settled>,
}

impl Settler {
    /// Starts the writers: one set on the connections of the callbacks, one on those of the workers, so that neither
    /// waits for the other.
    pub fn start(
        store: &Store,
        retry: RetryPolicy,
        stats: &ModelStats,
        wakes: &Wakes,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let start = |name, pool: &PgPool| {
            let settings = BatchSettings { name, writers: WRITERS, items_max: 200, waiting_max: 10_000 };
            let (pool, stats, wakes) = (pool.clone(), stats.clone(), wakes.clone());
            Batcher::start(settings, tasks, stop, move |entries: Vec<Entry>| {
                let (pool, stats, wakes) = (pool.clone(), stats.clone(), wakes.clone());
                Box::pin(async move {
                    let batch = settle(&pool, retry, &entries).await?;
                    stats.note(&batch.effects.latencies);
                    stats.note_found_by_look(batch.effects.found_by_look);
                    batch.effects.wake(&wakes);
                    Ok(batch.answers)
                })
            })
        };
        Self { callbacks: start("callbacks", &store.pools.callbacks), work: start("work", &store.pools.work) }
    }

    /// Settles a callback. Committed when this returns.
    pub async fn callback(&self, news: CallbackNews) -> Result<Disposition> {
        match self.callbacks.submit(Entry::Callback(Box::new(news))).await? {
            Settled::Callback(disposition) => Ok(disposition),
            Settled::Attempt(_) | Settled::Job(_) | Settled::Resolved(_) => {
                unreachable!("a callback is answered with a disposition")
            }
        }
    }

    /// Settles what a worker learnt of an attempt. Committed when this returns.
    pub async fn attempt(&self, news: AttemptNews) -> Result<AttemptOutcome> {
        match self.work.submit(Entry::Attempt(Box::new(news))).await? {
            Settled::Attempt(outcome) => Ok(outcome),
            Settled::Callback(_) | Settled::Job(_) | Settled::Resolved(_) => {
                unreachable!("news of an attempt are answered as such")
            }
        }
    }

    /// Settles a wish about a job. Committed when this returns.
    pub async fn job(&self, news: JobNews) -> Result<JobOutcome> {
        match self.work.submit(Entry::Job(news)).await? {
            Settled::Job(outcome) => Ok(outcome),
            Settled::Attempt(_) | Settled::Callback(_) | Settled::Resolved(_) => {
                unreachable!("a wish about a job is answered as such")
            }
        }
    }

    /// Settles what a person decides about a job's unknown attempt. Committed when this returns.
    pub async fn resolve(&self, news: ResolveNews) -> Result<ResolveOutcome> {
        match self.work.submit(Entry::Resolve(news)).await? {
            Settled::Resolved(outcome) => Ok(outcome),
            Settled::Attempt(_) | Settled::Callback(_) | Settled::Job(_) => {
                unreachable!("a person's decision is answered as such")
            }
        }
    }
}

impl Effects {
    /// Tells the workers of this process.
    pub fn wake(&self, wakes: &Wakes) {
        if self.dispatch {
            wakes.dispatch.notify_one();
        }
        if self.reconcile {
            wakes.reconcile.notify_one();
        }
        if self.moved {
            wakes.moved.notify_waiters();
        }
        if self.jobs_ended > 0 {
            wakes.ended.notify_waiters();
            wakes.ended_here.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
