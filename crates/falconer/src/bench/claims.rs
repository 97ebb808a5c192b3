//! Claimed and finished, with nothing between: by calls of the store, and by apalis workers.

use super::{Options, backlog, meter::Moment, report::Figure, site::Round, workers::Workers};
use anyhow::{Context, Result, ensure};
use std::{sync::Arc, time::Instant};
use store::{
    claim::Claimed,
    settle::{Entry, settle},
};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};

/// Jobs of one second at the goals' rates.
const PER_SECOND: usize = 5000;
/// Rows of one claim and of one batch of outcomes, as the server has them.
const BATCH: usize = 200;
/// Batches of outcomes under way at once.
const FINISHERS: usize = 2;
/// Jobs that wait behind those that are measured.
const WAITING: usize = 100_000;

/// Measures calls of the store, with a short queue and with a long one.
pub(super) async fn store_calls(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let count = options.seconds * PER_SECOND;
    backlog::fill(&round.store, count).await?;
    let short = claim_and_finish("claim-finish", options, round, count).await?;
    backlog::fill(&round.store, WAITING + count).await?;
    let long = claim_and_finish("claim-finish, 100k waiting", options, round, count).await?;
    Ok(vec![short, long])
}

async fn claim_and_finish(name: &str, options: &Options, round: &Round, count: usize) -> Result<Figure> {
    store::bench::forget_statements(&round.store).await;
    let before = Moment::read(&round.store, None).await?;
    let began = Instant::now();
    let (claimed, batches) = mpsc::channel::<Vec<Claimed>>(FINISHERS);
    let (batches, mut finishers) = (Arc::new(Mutex::new(batches)), JoinSet::new());
    for _ in 0..FINISHERS {
        let (store, batches) = (round.store.clone(), Arc::clone(&batches));
        finishers.spawn(async move {
            loop {
                let Some(batch) = batches.lock().await.recv().await else { return anyhow::Ok(()) };
                let entries: Vec<Entry> = batch.iter().map(|claimed| backlog::finished(claimed.attempt)).collect();
                settle(&store.pools.work, backlog::RETRY, &entries).await?;
            }
        });
    }
    let (owner, mut done) = (store::fresh_id(), 0);
    while done < count {
        let batch = backlog::claim_some(&round.store, owner, BATCH.min(count - done)).await?;
        ensure!(!batch.is_empty(), "the backlog ran out");
        done += batch.len();
        claimed.send(batch).await.context("the finishers ended")?;
    }
    drop(claimed);
    while let Some(finisher) = finishers.join_next().await {
        finisher.context("a finisher panicked")??;
    }
    let took = began.elapsed();
    let after = Moment::read(&round.store, None).await?;
    options.show_statements(name, &round.store).await;
    Ok(Figure::new(name, done, took).cost(before.cost_until(&after, done)))
}

/// Measures apalis workers whose handlers do nothing but record a result.
pub(super) async fn by_workers(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let count = options.seconds * PER_SECOND;
    backlog::fill(&round.store, count).await?;
    store::bench::forget_statements(&round.store).await;
    let before = Moment::read(&round.store, None).await?;
    let began = Instant::now();
    let mut workers = Workers::start(&round.store)?;
    for _ in 0..count {
        workers.done.recv().await.context("the workers ended")?;
    }
    let took = began.elapsed();
    let after = Moment::read(&round.store, None).await?;
    options.show_statements("claim-finish-apalis", &round.store).await;
    workers.stop().await?;
    Ok(vec![Figure::new("claim-finish-apalis", count, took).cost(before.cost_until(&after, count))])
}
