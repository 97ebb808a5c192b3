//! What an account of 2 to 40 slots feels: slots that never idle while work waits, and results that come home soon
//! although their callbacks are lost.

use super::{
    Options, backlog,
    report::{Figure, percentile},
    site::{Round, ServerOptions, free_addr},
};
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use simulator::{Fault, Faults, Latency, RequestView, Simulator, SimulatorConfig};
use std::{collections::HashMap, time::Duration};

const RUN: Latency = Latency { min: Duration::from_secs(1), max: Duration::from_secs(2) };
/// For the slots to fill and the model's latency to be learnt.
const WARM: Duration = Duration::from_secs(8);
/// For what was missed to come home after the measuring.
const HOMECOMING: Duration = Duration::from_secs(12);
const MARGIN: usize = 2;
/// Freed slots of which a 99th percentile says something: the slowest of fewer would be one of chance.
const FREED_MIN: u32 = 300;

/// Measures one account: `slots` of them, and that share of jobs without any callback.
pub(super) async fn run(options: &Options, round: &Round, slots: u32, lost: f64) -> Result<Figure> {
    let for_a_p99 = (RUN.min + RUN.max) / 2 * FREED_MIN / slots;
    let span = Duration::from_secs(30.max(options.seconds as u64));
    let span = if lost == 0.0 { span.max(for_a_p99) } else { span };
    let fal = Simulator::start(SimulatorConfig {
        slots,
        latency: [("*".to_owned(), RUN)].into(),
        faults: Faults { callback_all_lost: lost, ..Faults::default() },
        ..SimulatorConfig::default()
    })
    .await?;
    let seconds = (WARM + span + HOMECOMING).as_secs() as usize + 10;
    backlog::fill(&round.store, slots as usize * seconds).await?;
    let roles = "api,receiver,submitter,reconciler";
    let callback_addr = free_addr().await?;
    let server =
        round.serve(ServerOptions { roles, slots, queue_url: fal.queue_url(), fal: &fal, callback_addr }).await?;
    tokio::time::sleep(WARM).await;
    fal.reset_occupancy();
    tokio::time::sleep(span).await;
    let occupancy = fal.occupancy();
    let seen = fal.requests();
    tokio::time::sleep(HOMECOMING).await;
    let home: HashMap<String, DateTime<Utc>> = store::bench::homecomings(&round.store).await?.into_iter().collect();
    server.stop().await?;
    let busy = occupancy.busy_slot_seconds / (f64::from(slots) * occupancy.elapsed_seconds);
    let figure = Figure::new(&format!("slots {slots}, {:.0} % lost", lost * 100.0), seen.len(), span)
        .without_rate()
        .also("occupancy %", busy * 100.0);
    if lost == 0.0 {
        let waits = refills(&seen, slots as usize);
        let [p50, p99] = [0.5, 0.99].map(|share| percentile(waits.clone(), share).unwrap_or(f64::INFINITY) * 1000.0);
        return Ok(figure.also("freed → POST p50 ms", p50).also("p99 ms", p99));
    }
    let (late, bound) = missed(&seen, &home)?;
    Ok(figure.also("missed home p99 s", late).also("bound s", bound))
}

/// Pairs each completion with the POST that takes its place: after the first fill, the k-th POST answers the k-th
/// completion. In seconds.
fn refills(seen: &[RequestView], slots: usize) -> Vec<f64> {
    let mut freed: Vec<DateTime<Utc>> = seen.iter().filter_map(|request| request.completed_at).collect();
    freed.sort_unstable();
    let mut posted: Vec<DateTime<Utc>> = seen.iter().map(|request| request.posted_at).collect();
    posted.sort_unstable();
    freed.iter().zip(posted.iter().skip(slots + MARGIN)).map(|(freed, posted)| seconds(*posted - *freed)).collect()
}

/// How late results without a callback came home, and how late they may: three seconds, or twice the 95th percentile of
/// the time from submit to completion.
fn missed(seen: &[RequestView], home: &HashMap<String, DateTime<Utc>>) -> Result<(f64, f64)> {
    let runs = seen.iter().filter_map(|request| Some(seconds(request.completed_at? - request.posted_at))).collect();
    let p95 = percentile(runs, 0.95).context("no run was completed")?;
    let late = seen.iter().filter(|request| request.faults.contains(&Fault::CallbackAllLost)).filter_map(|request| {
        let completed = request.completed_at?;
        // One that never came home counts as late as can be.
        Some(home.get(&request.request_id).map_or(f64::INFINITY, |home| seconds(*home - completed)))
    });
    let late = percentile(late.collect(), 0.99).context("no callback was lost")?;
    Ok((late, f64::max(3.0, 2.0 * p95)))
}

fn seconds(span: chrono::TimeDelta) -> f64 {
    span.as_seconds_f64()
}
