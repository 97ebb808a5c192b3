//! The storm: two servers under load while everything fails, then peace, and a judgement by witnesses from outside.
//!
//! [`run`] starts a Postgres, a simulated fal and two servers, sends jobs at a steady rate and carries a seeded schedule of
//! faults out; then it mends everything, waits until all has ended, judges, says every stored callback again, and judges
//! again. What the seed repeats is the schedule, the jobs and fal's dice. How processes interleave is the machine's choice.

pub mod counts;
pub mod drain;
pub mod load;
pub mod logs;
pub mod nemesis;
pub mod oracle;
pub mod plan;
pub mod proxy;
pub mod replay;
pub mod schedule;
pub mod site;
pub mod unknowns;
mod wire;

pub use counts::Report;
pub use plan::{History, Plan, Policy};

use anyhow::{Context as _, Result};
use load::Door;
use site::Site;
use std::{
    path::PathBuf,
    time::{Instant, SystemTime},
};

/// Runs a storm to its verdict.
///
/// # Errors
/// When the stage cannot be set, or work is left at the end; the report holds everything else.
pub async fn run(plan: Plan) -> Result<Report> {
    let began = Instant::now();
    let mut site = Site::start(&plan).await.context("the stage")?;
    let told = storm(&mut site, plan, began).await;
    if told.is_err() {
        keep_logs(&site);
    }
    told
}

async fn storm(site: &mut Site, plan: Plan, began: Instant) -> Result<Report> {
    let door = Door {
        client: testkit::http_client(),
        apis: [site.servers[0].api(), site.servers[1].api()],
        api_key: site.api_key.clone(),
    };
    let (known, faults) =
        tokio::join!(load::run(plan, door.clone()), nemesis::run(site, schedule::schedule(plan.seed, plan.length)));
    let (faults, calm_from) = (faults.context("the faults")?, SystemTime::now());
    let moved = drain::run(site, &plan).await?;
    let first = oracle::judge(site, &plan, &known).await?;
    let replay = replay::run(site, &door).await?;
    let second = oracle::judge(site, &plan, &known).await?;
    let mut report = Report {
        plan,
        seconds: began.elapsed().as_secs(),
        jobs: first.jobs.clone(),
        money: first.money.clone(),
        unknown: unknowns::unknowns(site).await?,
        hooks: unknowns::hooks(&site.sim.requests()),
        recovery: unknowns::recovery(site, &faults, calm_from).await?,
        faults,
        replay,
        clock_moved_by: moved.as_secs(),
        errors_logged: logs::errors(site),
        warnings_in_a_second: logs::warnings_in_a_second(site),
        failures: Vec::new(),
    };
    report.judge([first, second]);
    if !report.failures.is_empty() {
        keep_logs(site);
        let _ = std::fs::write(kept().join("timeline"), report.faults.timeline.join("\n"));
    }
    Ok(report)
}

/// Where what explains a failed storm is kept.
fn kept() -> PathBuf {
    std::env::temp_dir().join("falconer-storm")
}

/// Copies the servers' logs to where they outlive the storm.
fn keep_logs(site: &Site) {
    let place = kept();
    // A log that cannot be kept must not hide why the storm failed.
    let _ = std::fs::create_dir_all(&place);
    for number in 0..schedule::SERVERS {
        let name = format!("server-{number}.log");
        let _ = std::fs::copy(site.home().join(&name), place.join(&name));
    }
}
