//! Signed callbacks against the real listener: settled whole, kept, and told a second time.

use super::{
    Options, backlog,
    meter::Moment,
    report::Figure,
    site::{Round, SECRET, Server, ServerOptions, free_addr},
    stub, wire,
};
use anyhow::{Result, ensure};
use domain::{AttemptId, CredentialId, TokenKeys};
use simulator::{Simulator, SimulatorConfig};
use std::net::SocketAddr;

/// Callbacks of one second at the goal's rate.
const PER_SECOND: usize = 4000;

/// Measures three kinds of callbacks.
pub(super) async fn run(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let count = options.seconds * PER_SECOND;
    let fal = Simulator::start(SimulatorConfig::default()).await?;
    round.pin(&fal, 100_000).await?;
    let attempts = backlog::submitted(&round.store, 2 * count).await?;
    let (fresh, kept) = attempts.split_at(count);
    let server = round
        .serve(ServerOptions {
            roles: "receiver",
            slots: 100_000,
            queue_url: fal.queue_url(),
            fal: &fal,
            callback_addr: free_addr().await?,
        })
        .await?;
    let tokens = TokenKeys::derive(SECRET)?;
    let path = |attempt: AttemptId| format!("/hooks/fal/{}", tokens.sign(CredentialId::DEFAULT, attempt));
    let good = |(attempt, id): &(AttemptId, String)| {
        stub::signed(&fal, &path(*attempt), id, stub::callback_body(id).as_bytes())
    };
    let empty = |(attempt, id): &(AttemptId, String)| {
        // A payload that is null is kept, and fal is asked.
        let filler = "a photograph of an astronaut ".repeat(22);
        let body = format!(r#"{{"request_id":"{id}","status":"OK","payload":null,"payload_error":"{filler}"}}"#);
        stub::signed(&fal, &path(*attempt), id, body.as_bytes())
    };
    // The first callback makes the server fetch fal's keys, and its pools connect.
    let (warm, fresh) = fresh.split_at(count / 20);
    wire::drive(server.callbacks, warm.iter().map(good).collect(), options.connections).await?;
    let settled: Vec<Vec<u8>> = fresh.iter().map(good).collect();
    Ok(vec![
        measure("callbacks-settled", options, round, &server, settled.clone()).await?,
        measure("callbacks-kept", options, round, &server, kept.iter().map(empty).collect()).await?,
        measure("callbacks-repeated", options, round, &server, settled).await?,
    ])
}

/// Sends the requests and says what they cost. Every one must be answered with 2xx.
pub(super) async fn measure(
    name: &str,
    options: &Options,
    round: &Round,
    server: &Server,
    requests: Vec<Vec<u8>>,
) -> Result<Figure> {
    let addr = if name.starts_with("accept") { server.api } else { server.callbacks };
    measure_at(addr, name, options, round, server, requests, 0).await
}

/// Sends the requests and says what they cost. So many of them must be refused.
pub(super) async fn measure_at(
    addr: SocketAddr,
    name: &str,
    options: &Options,
    round: &Round,
    server: &Server,
    requests: Vec<Vec<u8>>,
    refused: usize,
) -> Result<Figure> {
    let count = requests.len();
    store::bench::forget_statements(&round.store).await;
    let before = Moment::read(&round.store, server.pid()).await?;
    let driven = wire::drive(addr, requests, options.connections).await?;
    let after = Moment::read(&round.store, server.pid()).await?;
    ensure!(driven.refused == refused, "{} of {count} requests were refused", driven.refused);
    options.show_statements(name, &round.store).await;
    Ok(Figure::new(name, count, driven.took).latencies(&driven.latencies).cost(before.cost_until(&after, count)))
}
