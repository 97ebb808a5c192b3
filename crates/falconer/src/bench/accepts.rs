//! Jobs in: one by one and in batches over REST, and by calls of the store.

use super::{
    Options, backlog, callbacks,
    meter::Moment,
    report::Figure,
    site::{Round, ServerOptions, free_addr},
    wire,
};
use anyhow::Result;
use simulator::{Simulator, SimulatorConfig};
use std::time::Instant;
use store::wake::Wakes;
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

/// Measures `POST /v1/jobs/batch` with arrays of 1,000.
pub(super) async fn batched(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let options = &Options { connections: BATCHERS, ..*options };
    let requests = |count: usize, authorization: &str| {
        let headers = [("authorization", authorization)];
        let jobs: Vec<String> = (0..BATCH).map(backlog::submission).collect();
        let array = format!("[{}]", jobs.join(","));
        (0..count).map(|_| wire::post("/v1/jobs/batch", &headers, array.as_bytes())).collect()
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
    let call = async |index| Ok(acceptor.submit(backlog::job(index)).await.map(drop)?);
    let figure = by_callers("accept-store", options, round, PER_SECOND, call).await;
    stop.cancel();
    Ok(vec![figure?])
}

/// Measures `falconer.submit_job`, each call a transaction of its own.
pub(super) async fn sql_calls(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let call =
        async |index| Ok(store::bench::submit_by_sql(&round.store, backlog::model(index), &backlog::input()).await?);
    Ok(vec![by_callers("accept-sql", options, round, PER_SECOND, call).await?])
}

/// Calls so often a second as the goal's rate says, by [`CALLERS`] at once.
async fn by_callers(
    name: &str,
    options: &Options,
    round: &Round,
    per_second: usize,
    call: impl AsyncFn(usize) -> Result<()>,
) -> Result<Figure> {
    let each = options.seconds * per_second / CALLERS;
    store::bench::forget_statements(&round.store).await;
    let before = Moment::read(&round.store, None).await?;
    let began = Instant::now();
    let callers = (0..CALLERS).map(|_| async {
        let mut latencies = Vec::with_capacity(each);
        for index in 0..each {
            let asked = Instant::now();
            call(index).await?;
            latencies.push(asked.elapsed());
        }
        anyhow::Ok(latencies)
    });
    let latencies = futures::future::try_join_all(callers).await?.concat();
    let took = began.elapsed();
    let after = Moment::read(&round.store, None).await?;
    options.show_statements(name, &round.store).await;
    let count = latencies.len();
    Ok(Figure::new(name, count, took).latencies(&latencies).cost(before.cost_until(&after, count)))
}
