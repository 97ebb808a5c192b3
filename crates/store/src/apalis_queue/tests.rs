//! A worker over a queue in memory. Waits are for states; the poll floor is an hour wherever a wake is what is tested.

mod claims;
mod memory;
mod stops;
mod throughput;

use super::{QueueBackend, RunError, run};
use apalis::prelude::{BoxDynError, Data, Monitor, WorkerBuilder, WorkerBuilderExt as _};
use futures::future::BoxFuture;
use memory::{Job, Memory};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

const HOUR: Duration = Duration::from_hours(1);
/// Longer than any test takes; what does not come in it does not come.
const PATIENCE: Duration = Duration::from_secs(20);

type Outcome = BoxFuture<'static, Result<(), BoxDynError>>;
type Handler = Arc<dyn Fn(Job) -> Outcome + Send + Sync>;

/// A worker over `queue` and what a test holds of it.
#[derive(Clone)]
struct Role {
    queue: Memory,
    wake: Arc<Notify>,
    stop: CancellationToken,
    poll_floor: Duration,
    batch: usize,
    slots: usize,
    concurrency: usize,
    drain: Duration,
}

impl Role {
    fn over(queue: Memory) -> Self {
        Self {
            queue,
            wake: Arc::new(Notify::new()),
            stop: CancellationToken::new(),
            poll_floor: HOUR,
            batch: 64,
            slots: 1024,
            concurrency: 1024,
            drain: PATIENCE,
        }
    }

    fn push(&self, number: usize) {
        self.queue.push(number);
        self.wake.notify_one();
    }

    /// Runs the worker beside `script`, and stops it when the script has ended.
    async fn run<T>(&self, handler: Handler, script: impl Future<Output = T>) -> (Result<(), RunError>, T) {
        let script = async {
            let result = script.await;
            self.stop.cancel();
            result
        };
        let monitor = self.register(Monitor::new(), handler);
        let both = async { tokio::join!(run(monitor, &self.stop, self.drain), script) };
        tokio::time::timeout(PATIENCE, both).await.expect("the state that the test waits for comes")
    }

    fn register(&self, monitor: Monitor, handler: Handler) -> Monitor {
        let role = self.clone();
        monitor.register(move |restarts| {
            let queue = role.queue.clone();
            WorkerBuilder::new(format!("test-{restarts}"))
                .backend(QueueBackend::new(queue, role.wake.clone(), role.poll_floor, role.batch).slots(role.slots))
                .data(handler.clone())
                .concurrency(role.concurrency)
                .catch_panic()
                .build(handle)
        })
    }
}

async fn handle(job: Job, handler: Data<Handler>) -> Result<(), BoxDynError> {
    (handler.0)(job).await
}

/// A handler that reports its job's number and ends.
fn reporting() -> (Handler, mpsc::UnboundedReceiver<usize>) {
    hanging_at(usize::MAX, &Arc::new(Notify::new()))
}

/// A handler that reports its job's number and ends, except that `number` waits for `release`.
fn hanging_at(number: usize, release: &Arc<Notify>) -> (Handler, mpsc::UnboundedReceiver<usize>) {
    let (report, reports) = mpsc::unbounded_channel();
    let release = Arc::clone(release);
    let handler: Handler = Arc::new(move |job: Job| {
        let (report, release) = (report.clone(), Arc::clone(&release));
        Box::pin(async move {
            report.send(job.number)?;
            if job.number == number {
                release.notified().await;
            }
            Ok(())
        })
    });
    (handler, reports)
}

async fn next(reports: &mut mpsc::UnboundedReceiver<usize>) -> usize {
    reports.recv().await.expect("the handler outlives the script")
}
