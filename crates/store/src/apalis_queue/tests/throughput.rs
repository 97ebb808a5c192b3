//! What the path from a claimed batch to a finished handler costs by itself.

use super::{Handler, Role, memory::Memory};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};
use tokio::sync::Notify;

const ROWS: usize = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_64_and_256_keep_a_worker_busy() {
    for batch in [64, 256] {
        let role = Role { batch, slots: batch, ..Role::over(Memory::holding(0..ROWS)) };
        let (left, all) = (Arc::new(AtomicUsize::new(ROWS)), Arc::new(Notify::new()));
        let last = Arc::clone(&all);
        let handler: Handler = Arc::new(move |_| {
            if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                last.notify_one();
            }
            Box::pin(std::future::ready(Ok(())))
        });
        let started = Instant::now();
        let (result, took) = role
            .run(handler, async {
                all.notified().await;
                started.elapsed()
            })
            .await;
        result.unwrap();
        let rate = 20_000.0 / took.as_secs_f64();
        eprintln!("batch {batch}: {rate:.0} rows/s in {} claims", role.queue.log().claims);
        assert!(rate > 2_000.0, "{rate:.0} rows/s");
    }
}
