//! When fal's bills are audited.

use super::{Engine, schedule};
use apalis::prelude::{BoxDynError, Data, Monitor, WorkerBuilder, WorkerBuilderExt as _};
use apalis_cron::{CronScheduler, Tick};
use domain::CredentialId;
use reconciler::{Audit, AuditSettings, Audited};
use std::sync::Arc;
use store::log_limit::LogLimit;
use tokio::sync::Mutex;

/// What one process audits with.
#[derive(Clone)]
struct Auditor {
    audit: Audit,
    outages: LogLimit,
    /// A reading may take longer than the next tick takes to come.
    busy: Arc<Mutex<()>>,
}

/// Adds the audit to what runs by the clock.
pub(super) fn register(monitor: Monitor, engine: &Engine) -> Monitor {
    let config = &engine.config.audit;
    let settings = AuditSettings { overlap: config.overlap, grace: config.grace, whole_every: config.whole_every };
    let audit = Audit::new(settings, CredentialId::DEFAULT, &engine.store, &engine.settler, &engine.bills);
    let auditor = Auditor { audit, outages: LogLimit::default(), busy: Arc::default() };
    let at = config.at.clone();
    monitor.register(move |restarts| {
        WorkerBuilder::new(format!("audit-{restarts}"))
            .backend(CronScheduler::new(schedule(&at)))
            .data(auditor.clone())
            .catch_panic()
            .build(run)
    })
}

/// What cannot be read is read by the next audit, so no failure is more than a warning.
async fn run(_: Tick, auditor: Data<Auditor>) -> Result<(), BoxDynError> {
    let Ok(_busy) = auditor.busy.try_lock() else { return Ok(()) };
    let why = match auditor.audit.run().await {
        Ok(Audited::Done(_) | Audited::Refused) => return Ok(()),
        Ok(Audited::Interrupted { message }) => message,
        Err(error) => error.to_string(),
    };
    if let Some(missed) = auditor.outages.pass() {
        tracing::warn!(why, missed, "fal's bills cannot be audited; the next audit reads on from here");
    }
    Ok(())
}
