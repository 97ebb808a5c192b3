//! When fal's bills are audited, of every account in turn.

use super::{Engine, schedule};
use apalis::prelude::{BoxDynError, Data, Monitor, WorkerBuilder, WorkerBuilderExt as _};
use apalis_cron::{CronScheduler, Tick};
use domain::CredentialId;
use reconciler::{Audit, AuditSettings, Audited};
use std::{collections::HashMap, sync::Arc};
use store::log_limit::LogLimit;
use tokio::sync::Mutex;

/// What one process audits with.
#[derive(Clone)]
struct Auditor {
    settings: AuditSettings,
    engine: Engine,
    outages: LogLimit,
    /// One of each account. Held while they are audited: that may take longer than the next tick takes to come.
    audits: Arc<Mutex<HashMap<CredentialId, Audit>>>,
}

/// Adds the audit to what runs by the clock.
pub(super) fn register(monitor: Monitor, engine: &Engine) -> Monitor {
    let config = &engine.config.audit;
    let settings = AuditSettings { overlap: config.overlap, grace: config.grace, whole_every: config.whole_every };
    let auditor = Auditor { settings, engine: engine.clone(), outages: LogLimit::default(), audits: Arc::default() };
    let at = config.at.clone();
    monitor.register(move |restarts| {
        WorkerBuilder::new(format!("audit-{restarts}"))
            .backend(CronScheduler::new(schedule(&at)))
            .data(auditor.clone())
            .catch_panic()
            .build(run)
    })
}

async fn run(_: Tick, auditor: Data<Auditor>) -> Result<(), BoxDynError> {
    let Ok(mut audits) = auditor.audits.try_lock() else { return Ok(()) };
    for id in auditor.engine.books.accounts() {
        let Ok(book) = auditor.engine.books.of(id).await else { continue };
        let Engine { store, settler, .. } = &auditor.engine;
        let audit = audits.entry(id).or_insert_with(|| Audit::new(auditor.settings, id, store, settler, &book.bills));
        audit.bills = book.bills;
        auditor.run_one(id, audit).await;
    }
    Ok(())
}

impl Auditor {
    /// What cannot be read is read by the next audit, so no failure is more than a warning.
    async fn run_one(&self, id: CredentialId, audit: &Audit) {
        let why = match audit.run().await {
            Ok(Audited::Done(_) | Audited::Refused) => return,
            Ok(Audited::Interrupted { message }) => message,
            Err(error) => error.to_string(),
        };
        if let Some(missed) = self.outages.pass() {
            tracing::warn!(credential.id = %id, why, missed, "fal's bills cannot be audited; the next audit reads on from here");
        }
    }
}
