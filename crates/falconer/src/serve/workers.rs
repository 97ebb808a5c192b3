//! The workers that apalis runs: dispatch and looks.

use super::{Engine, Role, Roles, Stops};
use crate::{durations::POLL_FLOOR, random};
use anyhow::{Context, Result};
use apalis::prelude::{Monitor, WorkerBuilder, WorkerBuilderExt as _};
use reconciler::{LookQueue, Looker, ReconcilerSettings, look_at};
use std::{sync::Arc, time::Duration};
use store::{
    apalis_queue::{self, QueueBackend},
    log_limit::LogLimit,
};
use submitter::dispatch::{DispatchQueue, DispatchSettings, Dispatcher, send_one};
use tokio_util::task::TaskTracker;

/// Rows of one claim.
const BATCH: usize = 200;
/// Handlers of one worker at once, whatever the account allows.
const HANDLERS_MAX: usize = 512;
/// Looks under way at once.
const LOOKS_AT_ONCE: usize = 64;
/// A request that fal has just taken may not be visible to it for so long.
const VISIBLE_WITHIN: Duration = Duration::from_secs(30);

/// Starts the workers of this process. The answer resolves once they have drained after `stops.intake`.
pub(crate) fn start(
    engine: &Engine,
    roles: &Roles,
    takers: &TaskTracker,
    stops: &Stops,
) -> impl Future<Output = Result<()>> + use<> {
    let mut monitor = None;
    if roles.has(Role::Submitter) {
        monitor = Some(register_dispatch(monitor.unwrap_or_default(), engine));
    }
    if roles.has(Role::Reconciler) {
        monitor = Some(register_looks(monitor.unwrap_or_default(), engine));
        takers.spawn(pace_looks(engine.clone(), stops.intake.clone()));
    }
    let (stop, drain) = (stops.intake.clone(), engine.config.shutdown.drain);
    #[expect(clippy::disallowed_methods, reason = "the caller awaits it when it stops")]
    let running = monitor.map(|monitor| tokio::spawn(async move { apalis_queue::run(monitor, &stop, drain).await }));
    async move {
        match running {
            Some(running) => running.await.context("the workers panicked")?.context("the workers did not drain"),
            None => Ok(()),
        }
    }
}

fn register_dispatch(monitor: Monitor, engine: &Engine) -> Monitor {
    let config = &engine.config;
    let settings = Arc::new(DispatchSettings {
        in_flight_margin: config.submitter.in_flight_margin,
        handlers_max: HANDLERS_MAX,
        timeouts: config.timeouts(),
        callback_base: config.callback_base(),
        first_look: config.reconciler.first_look,
    });
    let dispatcher = Dispatcher {
        settings: Arc::clone(&settings),
        accounts: engine.accounts.clone(),
        settler: engine.settler.clone(),
        stats: engine.stats.clone(),
        tokens: engine.tokens.clone(),
        dice: random::DICE,
    };
    let queue = DispatchQueue::new(
        engine.store.clone(),
        engine.accounts.clone(),
        engine.settler.clone(),
        settings,
        random::DICE,
    );
    let wake = Arc::clone(&engine.wakes.dispatch);
    monitor.register(move |restarts| {
        WorkerBuilder::new(format!("dispatch-{restarts}"))
            .backend(QueueBackend::new(queue.clone(), Arc::clone(&wake), POLL_FLOOR, BATCH).slots(HANDLERS_MAX))
            .data(dispatcher.clone())
            .catch_panic()
            .build(send_one)
    })
}

fn register_looks(monitor: Monitor, engine: &Engine) -> Monitor {
    let config = &engine.config.reconciler;
    let settings = Arc::new(ReconcilerSettings {
        first_look: config.first_look,
        poll_max: config.poll_max,
        polls_per_second_max: config.polls_per_second_max,
        history_after: config.history_after,
        history_lag: config.history_lag,
        unknown_grace: VISIBLE_WITHIN,
        hold: engine.config.submitter.lease,
    });
    let queue = LookQueue::new(engine.store.clone(), &settings);
    let looker = Looker {
        settings,
        store: engine.store.clone(),
        books: engine.books.clone(),
        settler: engine.settler.clone(),
        stats: engine.stats.clone(),
        dice: random::DICE,
        outages: LogLimit::default(),
    };
    let wake = Arc::clone(&engine.wakes.reconcile);
    monitor.register(move |restarts| {
        WorkerBuilder::new(format!("looks-{restarts}"))
            .backend(
                QueueBackend::new(queue.clone(), Arc::clone(&wake), POLL_FLOOR, LOOKS_AT_ONCE).slots(LOOKS_AT_ONCE),
            )
            .data(looker.clone())
            .catch_panic()
            .build(look_at)
    })
}

/// Wakes the lookers when the next attempt is due, which the poll floor alone would notice up to a second late.
async fn pace_looks(engine: Engine, stop: tokio_util::sync::CancellationToken) {
    const SOONEST: Duration = Duration::from_millis(50);
    loop {
        let wait = match store::looks::next_due_in(&engine.store).await {
            Ok(due_in) => due_in.unwrap_or(POLL_FLOOR).clamp(SOONEST, POLL_FLOOR),
            Err(_) => POLL_FLOOR,
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => engine.wakes.reconcile.notify_one(),
            () = stop.cancelled() => return,
        }
    }
}
