//! Runs the workers of a role until it is told to stop.

use apalis_core::{
    error::WorkerError,
    monitor::{Monitor, MonitorError},
    worker::{context::WorkerContext, event::Event},
};
use std::{error::Error, time::Duration};
use tokio_util::sync::CancellationToken;

/// A worker that failed this often outside its handlers is broken, and the role ends with an error.
const RESTARTS_MAX: usize = 10;

/// Why the workers of a role did not end in order.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A worker failed more often than it may be restarted; the others were stopped.
    #[error("a worker failed for good")]
    Worker(#[source] MonitorError),
    /// The drain time was over first; the rows of the handlers that were dropped wait for their leases.
    #[error("the workers did not end within the drain time, {running} handlers were dropped")]
    Drain {
        /// Handlers that had started and not finished.
        running: usize,
    },
}

/// Runs the monitor's workers until `shutdown`, then waits at most `drain` for the handlers that started.
///
/// Sets the restart rule and the event handler of `monitor`: a worker that panics outside its handlers is started again, and
/// an error of a handler is logged, once, here.
pub async fn run(monitor: Monitor, shutdown: &CancellationToken, drain: Duration) -> Result<(), RunError> {
    let failed = CancellationToken::new();
    let broken = failed.clone();
    let monitor = monitor.on_event(log_event).should_restart(move |worker, error| {
        let again = worker.restarts() < RESTARTS_MAX;
        log_failure(worker, error, again);
        if !again {
            broken.cancel();
        }
        again
    });
    let context = monitor.context();
    let stop = async {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = failed.cancelled() => {}
        }
        // It only sets a flag and wakes the workers; its result is always Ok.
        let _ = context.shutdown();
        tokio::time::sleep(drain).await;
        // Counted before the workers are dropped.
        context.workers().iter().map(WorkerContext::task_count).sum()
    };
    // apalis' own shutdown timeout throws the workers' errors away, hence the select.
    tokio::select! {
        result = monitor.run() => result.map_err(RunError::Worker),
        running = stop => Err(RunError::Drain { running }),
    }
}

fn log_event(worker: &WorkerContext, event: &Event) {
    if let Event::Error(error) = event {
        let error: &(dyn Error + 'static) = &***error;
        tracing::error!(worker = worker.name(), error, "a handler failed");
    }
}

fn log_failure(worker: &WorkerContext, error: &WorkerError, again: bool) {
    let error: &(dyn Error + 'static) = error;
    tracing::error!(worker = worker.name(), error, again, "a worker failed");
}
