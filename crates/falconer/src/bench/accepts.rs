//! Jobs in: one by one and in batches over REST, and by calls of the store.

use super::{
    Options, backlog, callbacks,
    meter::Moment,
    report::Figure,
    site::{Round, ServerOptions, free_addr},
    wire,
};
use anyhow::{Context, Result};
use simulator::{Simulator, SimulatorConfig};
use std::{fmt::Write as _, time::Instant};
use store::wake::Wakes;
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Jobs of one second at the goals' rates.
const PER_SECOND: usize = 6000;
const BATCHED_PER_SECOND: usize = 25_000;
const BATCH: usize = 1000;
/// Batches under way at once.
const BATCHERS: usize = 4;
/// Tasks that hand single jobs to the store.
const CALLERS: usize = 64;

/// Measures `POST /v1/jobs`.
pub(super) async fn single(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let requests = |count: usize, authorization: &str| {
        let headers = [("authorization", authorization)];
        (0..count).map(|index| wire::post("/v1/jobs", &headers, backlog::submission(index).as_bytes())).collect()
    };
    over_rest("accept", options, round, options.seconds * PER_SECOND, 1, requests).await
}

/// Measures `POST /v1/jobs/batch` with 1,000 lines each.
pub(super) async fn batched(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let options = &Options { connections: BATCHERS, ..*options };
    let requests = |count: usize, authorization: &str| {
        let headers = [("authorization", authorization)];
        let lines: String = (0..BATCH).fold(String::new(), |mut lines, index| {
            let _ = writeln!(lines, "{}", backlog::submission(index));
            lines
        });
        (0..count).map(|_| wire::post("/v1/jobs/batch", &headers, lines.as_bytes())).collect()
    };
    over_rest("accept-batch", options, round, options.seconds * BATCHED_PER_SECOND / BATCH, BATCH, requests).await
}

async fn over_rest(
    name: &str,
    options: &Options,
    round: &Round,
    count: usize,
    jobs_each: usize,
    requests: impl Fn(usize, &str) -> Vec<Vec<u8>>,
) -> Result<Vec<Figure>> {
    let fal = Simulator::start(SimulatorConfig::default()).await?;
    let server = round
        .serve(ServerOptions {
            roles: "api",
            slots: 2,
            queue_url: fal.queue_url(),
            fal: &fal,
            callback_addr: free_addr().await?,
        })
        .await?;
    let authorization = round.authorization().await?;
    wire::drive(server.api, requests(count.div_ceil(20), &authorization), options.connections).await?;
    let figure = callbacks::measure(name, options, round, &server, requests(count, &authorization)).await?;
    Ok(vec![figure.of_items(jobs_each)])
}

/// Measures the store's group commit alone.
pub(super) async fn store_calls(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let acceptor = store::accept::start(&round.store, &Wakes::default(), &tasks, &stop);
    let each = options.seconds * PER_SECOND / CALLERS;
    let before = Moment::read(&round.store, None).await?;
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let acceptor = acceptor.clone();
        callers.spawn(async move {
            let mut latencies = Vec::with_capacity(each);
            for index in 0..each {
                let asked = Instant::now();
                acceptor.submit(backlog::job(index)).await?;
                latencies.push(asked.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(caller) = callers.join_next().await {
        latencies.extend(caller.context("a caller panicked")??);
    }
    let took = began.elapsed();
    let after = Moment::read(&round.store, None).await?;
    options.show_statements("accept-store", &round.store).await;
    stop.cancel();
    let count = latencies.len();
    Ok(vec![Figure::new("accept-store", count, took).latencies(&latencies).cost(before.cost_until(&after, count))])
}
