//! What it costs to know who calls: the same answer without a key, with one key, and with a thousand keys of a hundred projects.
//!
//! The answer is a 404 that asks no database: for a route that is not there, and for an id that is none, which is looked at
//! after the key.

use super::{
    Options, callbacks,
    report::Figure,
    site::{Round, ServerOptions, free_addr},
    wire,
};
use anyhow::Result;
use simulator::{Simulator, SimulatorConfig};

/// Requests of one second at the goal's rate.
const PER_SECOND: usize = 20_000;
const KEYS: usize = 1_000;
const PROJECTS: usize = 100;

/// Measures the three, and keys that each call for the first time.
pub(super) async fn run(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let fal = Simulator::start(SimulatorConfig::default()).await?;
    let callback_addr = free_addr().await?;
    let server = round
        .serve(ServerOptions { roles: "api", slots: 2, queue_url: fal.queue_url(), fal: &fal, callback_addr })
        .await?;
    let count = options.seconds * PER_SECOND;
    let one = vec![round.authorization().await?];
    let mut many = Vec::with_capacity(KEYS);
    for number in 0..KEYS {
        many.push(round.authorization_in(&format!("bench-{}", number % PROJECTS)).await?);
    }
    let nobody = vec!["Bearer nobody".to_owned()];
    wire::drive(server.api, requests("/none", &one, count / 20), options.connections).await?;

    let mut figures = Vec::new();
    for (name, path, keys, count) in [
        ("auth: no route, no key looked at", "/none", &nobody, count),
        ("auth: one key", "/v1/jobs/none", &one, count),
        ("auth: 1,000 keys, each for the first time", "/v1/jobs/none", &many, KEYS),
        ("auth: 1,000 keys of 100 projects", "/v1/jobs/none", &many, count),
    ] {
        let requests = requests(path, keys, count);
        figures.push(callbacks::measure_at(server.api, name, options, round, &server, requests, count).await?);
    }
    Ok(figures)
}

fn requests(path: &str, keys: &[String], count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|index| wire::get(path, &keys[index % keys.len()])).collect()
}
