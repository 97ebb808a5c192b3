//! The dispatcher's queue and its apalis worker, with a handler that sends nothing and records a result.

use super::backlog;
use crate::random;
use accounts::{Accounts, AccountsConfig, Sealer};
use anyhow::{Context, Result};
use apalis::prelude::{BoxDynError, Data, Monitor, WorkerBuilder};
use domain::{AttemptEvent, RequestId, sealing::SealKeys};
use fal::ClientConfig;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use store::{
    Store,
    apalis_queue::{self, QueueBackend},
    model_stats::ModelStats,
    settle::Settler,
    wake::Wakes,
};
use submitter::dispatch::{Dispatch, DispatchQueue, DispatchSettings};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// As the server has them.
const BATCH: usize = 200;
const HANDLERS: usize = 512;
const POLL_FLOOR: Duration = Duration::from_secs(1);

/// Running workers.
pub(super) struct Workers {
    pub(super) wakes: Wakes,
    /// When each handler began, in the order in which their results were on record.
    pub(super) done: mpsc::UnboundedReceiver<Instant>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    running: JoinHandle<Result<(), apalis_queue::RunError>>,
}

#[derive(Clone)]
struct Handling {
    settler: Settler,
    done: mpsc::UnboundedSender<Instant>,
}

impl Workers {
    pub(super) fn start(store: &Store) -> Result<Self> {
        let (wakes, tasks, stop) = (Wakes::default(), TaskTracker::new(), CancellationToken::new());
        let settler = Settler::start(store, backlog::RETRY, &ModelStats::default(), &wakes, &tasks, &stop);
        let settings = Arc::new(DispatchSettings {
            in_flight_margin: u32::MAX,
            handlers_max: HANDLERS,
            timeouts: backlog::TIMEOUTS,
            callback_base: None,
            first_look: Duration::from_secs(2),
        });
        let queue = DispatchQueue::new(store.clone(), accounts(store)?, settler.clone(), settings, random::DICE);
        let (sender, done) = mpsc::unbounded_channel();
        let (handling, wake) = (Handling { settler, done: sender }, Arc::clone(&wakes.dispatch));
        let monitor = Monitor::new().register(move |restarts| {
            WorkerBuilder::new(format!("bench-{restarts}"))
                .backend(QueueBackend::new(queue.clone(), Arc::clone(&wake), POLL_FLOOR, BATCH).slots(HANDLERS))
                .data(handling.clone())
                .build(handle)
        });
        let ended = stop.clone();
        let running = tasks.spawn(async move { apalis_queue::run(monitor, &ended, POLL_FLOOR * 10).await });
        Ok(Self { wakes, done, tasks, stop, running })
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.running.await.context("the workers panicked")?.context("the workers did not drain")
    }
}

/// The default account alone. fal is not asked.
fn accounts(store: &Store) -> Result<Accounts> {
    let seals = SealKeys::derive(&hex::encode(random::bytes::<32>()))?;
    let config = AccountsConfig {
        default: ClientConfig::new("bench:bench".to_owned().into()),
        http: fal::http_client()?,
        sealer: Sealer::new(seals, random::bytes),
    };
    Ok(Accounts::new(store.clone(), config, 1)?)
}

async fn handle(dispatch: Dispatch, handling: Data<Handling>) -> Result<(), BoxDynError> {
    let began = Instant::now();
    let event = AttemptEvent::ResultOk(RequestId(store::fresh_id().to_string()));
    handling.settler.attempt(backlog::result(dispatch.claimed.attempt, event)).await?;
    // Whoever measures may have enough and be gone.
    let _ = handling.done.send(began);
    Ok(())
}
