//! What an idle system feels like: how soon a lone job is picked up, and how much memory waiting takes.

use super::{
    Options, backlog,
    meter::resident_bytes,
    report::Figure,
    site::{Round, ServerOptions, free_addr},
    workers::Workers,
};
use anyhow::{Context, Result};
use simulator::{Simulator, SimulatorConfig};
use std::time::{Duration, Instant};

const JOBS: usize = 200;
/// Jobs before those that count: connections and plans are made once.
const WARM: usize = 10;
/// For pools, timers and first sweeps.
const SETTLING: Duration = Duration::from_secs(5);

/// Measures one job at a time: from its commit, and from before the call, to the start of its handler.
pub(super) async fn latency(_: &Options, round: &Round) -> Result<Vec<Figure>> {
    let mut workers = Workers::start(&round.store)?;
    let acceptor = store::accept::start(&round.store, &workers.wakes, &workers.tasks, &workers.stop);
    let (mut from_commit, mut from_call) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for index in 0..WARM + JOBS {
        // Uneven, so that no timer's beat is hit or missed each time.
        tokio::time::sleep(Duration::from_millis(7 + (index as u64 * 13) % 23)).await;
        let called = Instant::now();
        acceptor.submit(backlog::job(index)).await?;
        let committed = Instant::now();
        let started = workers.done.recv().await.context("the workers ended")?;
        if index >= WARM {
            from_commit.push(started.saturating_duration_since(committed));
            from_call.push(started.saturating_duration_since(called));
        }
    }
    let took = began.elapsed();
    workers.stop().await?;
    Ok(vec![
        Figure::new("idle-latency, from commit", JOBS, took).latencies(&from_commit).without_rate(),
        Figure::new("idle-latency, from call", JOBS, took).latencies(&from_call).without_rate(),
    ])
}

/// Measures the resident memory of a server with every role and nothing to do.
pub(super) async fn memory(_: &Options, round: &Round) -> Result<Vec<Figure>> {
    let fal = Simulator::start(SimulatorConfig::default()).await?;
    let server = round
        .serve(ServerOptions {
            roles: "api,receiver,submitter,reconciler",
            slots: 40,
            queue_url: fal.queue_url(),
            fal: &fal,
            callback_addr: free_addr().await?,
        })
        .await?;
    tokio::time::sleep(SETTLING).await;
    let bytes = server.pid().and_then(resident_bytes).context("the server's memory cannot be read")?;
    let figure = Figure::new("idle-memory", 1, SETTLING).without_rate();
    Ok(vec![figure.also("resident MB", bytes as f64 / 1e6)])
}
