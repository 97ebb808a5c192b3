//! Jobs out: sent and recorded with a backlog, and the whole way from accept to settled.

use super::{
    Options, backlog,
    meter::Moment,
    report::Figure,
    site::{Round, Server, ServerOptions, free_addr},
    stub::Stub,
    wire,
};
use anyhow::{Context, Result, ensure};
use simulator::{Simulator, SimulatorConfig};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// Jobs of one second at the goals' rates.
const SENT_PER_SECOND: usize = 2500;
const CYCLES_PER_SECOND: usize = 1500;
const SLOTS: u32 = 100_000;
/// Between two looks at the database.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_mins(2);

/// Measures accepted → fal → recorded, from the first request to the last answer on record.
pub(super) async fn dispatch(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let count = options.seconds * SENT_PER_SECOND;
    let fal = Simulator::start(SimulatorConfig::default()).await?;
    let stub = Stub::start(None).await?;
    backlog::fill(&round.store, count).await?;
    store::bench::forget_statements(&round.store).await;
    let before = Moment::read(&round.store, None).await?;
    let server = serve(round, &fal, &stub, "submitter", free_addr().await?).await?;
    wait("fal heard of no job", async || Ok(stub.taken.load(Ordering::Relaxed) > 0)).await?;
    let began = Instant::now();
    wait("jobs were not sent", async || Ok(store::bench::all_sent(&round.store).await?)).await?;
    let took = began.elapsed();
    let after = Moment::read(&round.store, None).await?;
    options.show_statements("dispatch", &round.store).await;
    server.stop().await?;
    ensure!(stub.taken.load(Ordering::Relaxed) == count, "fal did not hear of every job once");
    Ok(vec![Figure::new("dispatch", count, took).cost(before.cost_until(&after, count))])
}

/// Measures the whole way, with every role in one process: accepted over REST, sent, called back, settled.
pub(super) async fn cycle(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let count = options.seconds * CYCLES_PER_SECOND;
    let fal = Simulator::start(SimulatorConfig::default()).await?;
    let callbacks = free_addr().await?;
    let stub = Stub::start(Some((fal.clone(), callbacks))).await?;
    let roles = "api,receiver,submitter,reconciler";
    let server = serve(round, &fal, &stub, roles, callbacks).await?;
    let authorization = round.authorization().await?;
    let headers = [("authorization", authorization.as_str())];
    let requests =
        |count| (0..count).map(|i| wire::post("/v1/jobs", &headers, backlog::submission(i).as_bytes())).collect();
    wire::drive(server.api, requests(count / 20), options.connections).await?;
    wait("jobs did not end", async || settled(round).await).await?;
    store::bench::forget_statements(&round.store).await;
    let before = Moment::read(&round.store, server.pid()).await?;
    let began = Instant::now();
    let driven = wire::drive(server.api, requests(count), options.connections).await?;
    wait("jobs did not end", async || settled(round).await).await?;
    let took = began.elapsed();
    let after = Moment::read(&round.store, server.pid()).await?;
    options.show_statements("cycle", &round.store).await;
    ensure!(driven.refused == 0, "{} jobs were refused", driven.refused);
    Ok(vec![Figure::new("cycle", count, took).cost(before.cost_until(&after, count))])
}

async fn serve(
    round: &Round,
    fal: &Simulator,
    stub: &Stub,
    roles: &str,
    callback_addr: std::net::SocketAddr,
) -> Result<Server> {
    let queue_url = format!("http://{}", stub.addr);
    round.serve(ServerOptions { roles, slots: SLOTS, queue_url, fal, callback_addr }).await
}

async fn settled(round: &Round) -> Result<bool> {
    let (open, waiting) = store::bench::open_work(&round.store).await?;
    Ok(open == 0 && !waiting)
}

async fn wait(what: &'static str, done: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let looking = async {
        while !done().await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, looking).await.context(what)?
}
