//! Periodic work: due and useless jobs each second, latencies, prices, partitions, retention and the audit less often.
//!
//! What must run every second is a plain loop; what runs by the clock on the wall is apalis-cron's.

mod audit;
mod feed;

use super::{Engine, Role, Roles};
use crate::durations::POLL_FLOOR;
use apalis::prelude::{BoxDynError, Data, Monitor, WorkerBuilder, WorkerBuilderExt as _};
use apalis_cron::{CronScheduler, Tick};
use fal::EndpointId;
use std::{error::Error, str::FromStr, time::Duration};
use store::{log_limit::LogLimit, prices::ModelPrice, retention::Retention};
use submitter::accept::UnitPrice;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Models whose prices are asked for, beside those that jobs have named.
const KNOWN_MODELS: [&str; 4] =
    ["fal-ai/flux/schnell", "fal-ai/flux/dev", "fal-ai/flux-pro/v1.1", "fal-ai/flux-pro/v1.1-ultra"];
/// Seconds, minutes, hours, days, months, weekdays.
const RETENTION_AT: &str = "0 */10 * * * *";
const PRICES_AT: &str = "30 5 * * * *";
/// Rows of the audit log that one run removes.
const ROWS_AT_ONCE: u32 = 10_000;
const DRAIN: Duration = Duration::from_secs(10);

/// Starts what this process keeps in order.
pub(crate) fn start(engine: &Engine, roles: &Roles, tasks: &TaskTracker, stop: &CancellationToken) {
    if roles.has(Role::Submitter) {
        tasks.spawn(sweep(engine.clone(), stop.clone()));
    }
    if roles.has(Role::Api) {
        tasks.spawn(feed::measure(engine.store.clone(), stop.clone()));
    }
    tasks.spawn(exchange_latencies(engine.clone(), stop.clone()));
    tasks.spawn(by_the_clock(engine.clone(), roles.has(Role::Reconciler), stop.clone()));
}

/// Moves jobs whose hour has come, and ends those that nobody has a use for.
async fn sweep(engine: Engine, stop: CancellationToken) {
    let outages = LogLimit::default();
    while !stopped_within(POLL_FLOOR, &stop).await {
        let found = match store::sweeps::find(&engine.store).await {
            Ok(found) => found,
            Err(error) => {
                warn(&outages, &error, "due jobs cannot be read");
                continue;
            }
        };
        let moved = found.into_iter().map(|news| engine.settler.job(news));
        for outcome in futures::future::join_all(moved).await {
            if let Err(error) = outcome {
                warn(&outages, &error, "a due job cannot be moved; the next sweep finds it again");
            }
        }
    }
}

async fn exchange_latencies(engine: Engine, stop: CancellationToken) {
    let outages = LogLimit::default();
    loop {
        if let Err(error) = engine.stats.exchange(&engine.store).await {
            warn(&outages, &error, "latencies cannot be shared");
        }
        if stopped_within(POLL_FLOOR * 2, &stop).await {
            return;
        }
    }
}

async fn by_the_clock(engine: Engine, audits: bool, stop: CancellationToken) {
    if let Err(error) = refresh_prices(&engine).await {
        tracing::warn!(error, "fal's prices cannot be read; estimates are missing until they can");
    }
    let (for_retention, for_prices) = (engine.clone(), engine.clone());
    let mut monitor = Monitor::new()
        .register(move |restarts| {
            WorkerBuilder::new(format!("retention-{restarts}"))
                .backend(CronScheduler::new(schedule(RETENTION_AT)))
                .data(for_retention.clone())
                .catch_panic()
                .build(retain)
        })
        .register(move |restarts| {
            WorkerBuilder::new(format!("prices-{restarts}"))
                .backend(CronScheduler::new(schedule(PRICES_AT)))
                .data(for_prices.clone())
                .catch_panic()
                .build(prices)
        });
    if audits {
        monitor = audit::register(monitor, &engine);
    }
    if let Err(error) = store::apalis_queue::run(monitor, &stop, DRAIN).await {
        tracing::error!(error = &error as &dyn Error, "periodic work has ended");
    }
}

async fn retain(_: Tick, engine: Data<Engine>) -> Result<(), BoxDynError> {
    let keep = Retention {
        jobs: engine.config.retention.jobs,
        callbacks: engine.config.retention.callbacks,
        ..Retention::default()
    };
    let done = async {
        store::retention::run(&engine.store, &keep).await?;
        store::orphans::prune(&engine.store).await?;
        store::audit::prune(&engine.store, engine.config.retention.audit_log, ROWS_AT_ONCE).await
    };
    match done.await {
        Err(error) if error.is_unavailable() => {
            tracing::warn!(error = &error as &dyn Error, "nothing was tidied up; the next time does it");
            Ok(())
        }
        done => Ok(done.map(drop)?),
    }
}

async fn prices(_: Tick, engine: Data<Engine>) -> Result<(), BoxDynError> {
    refresh_prices(&engine).await.map_err(BoxDynError::from)
}

/// Reads fal's price list, keeps it, and hands it to accept. Without fal, the kept list serves.
async fn refresh_prices(engine: &Engine) -> Result<(), String> {
    let text = |error: &dyn Error| error.to_string();
    let mut models: Vec<EndpointId> = KNOWN_MODELS.into_iter().filter_map(|id| EndpointId::parse(id).ok()).collect();
    for model in store::lanes::models(&engine.store).await.map_err(|error| text(&error))? {
        models.extend(EndpointId::parse(&model).ok().filter(|id| !models.contains(id)));
    }
    let fetched = engine.accounts.default_client().prices(&models).await;
    if let Ok(fetched) = &fetched {
        let rows: Vec<ModelPrice> = fetched
            .iter()
            .map(|price| ModelPrice {
                model: price.endpoint_id.to_string(),
                unit: price.unit.clone(),
                unit_price: price.unit_price,
                currency: price.currency.clone(),
            })
            .collect();
        store::prices::upsert(&engine.store, &rows).await.map_err(|error| text(&error))?;
    }
    let kept = store::prices::list(&engine.store).await.map_err(|error| text(&error))?;
    engine.prices.replace(
        kept.into_iter()
            .filter(|(price, _)| price.currency == "USD")
            .map(|(price, _)| (price.model, UnitPrice { unit: price.unit, unit_price: price.unit_price })),
    );
    fetched.map(drop).map_err(|error| text(&error))
}

fn schedule(text: &str) -> cron::Schedule {
    cron::Schedule::from_str(text).expect("a constant of this file, or a setting that was checked")
}

async fn stopped_within(wait: Duration, stop: &CancellationToken) -> bool {
    tokio::time::timeout(wait, stop.cancelled()).await.is_ok()
}

fn warn(outages: &LogLimit, error: &store::Error, what: &'static str) {
    if let Some(missed) = outages.pass() {
        tracing::warn!(error = error as &dyn Error, missed, "{what}");
    }
}
