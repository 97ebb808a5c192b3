//! Items in, answers out: in order, alone in their failure, and whole.

use super::*;
use futures::future::join_all;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// A refusal as Postgres would send it.
#[derive(Debug)]
struct Refusal(&'static str);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refusal {}

impl sqlx::error::DatabaseError for Refusal {
    fn message(&self) -> &str {
        self.0
    }

    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some(self.0.into())
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> sqlx::error::ErrorKind {
        sqlx::error::ErrorKind::Other
    }
}

fn refused(code: &'static str) -> Error {
    Error::from(sqlx::Error::Database(Box::new(Refusal(code))))
}

/// A batcher over `run`, what runs it and what stops it.
struct Bench {
    batcher: Batcher<u32, u32>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

fn bench(writers: usize, run: impl Fn(Vec<u32>) -> Result<Vec<u32>> + Send + Sync + 'static) -> Bench {
    let run = Arc::new(run);
    bench_async(writers, move |items| {
        let run = Arc::clone(&run);
        Box::pin(async move { run(items) })
    })
}

fn bench_async(
    writers: usize,
    run: impl Fn(Vec<u32>) -> BoxFuture<'static, Result<Vec<u32>>> + Send + Sync + 'static,
) -> Bench {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let settings = BatchSettings { name: "test", writers, items_max: 64, waiting_max: 1000 };
    Bench { batcher: Batcher::start(settings, &tasks, &stop, run), tasks, stop }
}

async fn all(bench: &Bench, items: impl IntoIterator<Item = u32>) -> Vec<Result<u32>> {
    join_all(items.into_iter().map(|item| bench.batcher.submit(item))).await
}

#[tokio::test]
async fn items_are_answered_in_order() {
    let bench = bench(2, |items| Ok(items.into_iter().map(|item| item * 10).collect()));
    let answers: Vec<u32> = all(&bench, 0..300).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, (0..300).map(|item| item * 10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_bad_row_fails_alone_and_every_other_is_run_once_in_the_end() {
    for code in ["22P05", "23505", "54000"] {
        let stored = Arc::new(std::sync::Mutex::new(Vec::<u32>::new()));
        let log = Arc::clone(&stored);
        let bench = bench(1, move |items| {
            if items.contains(&13) {
                return Err(refused(code));
            }
            log.lock().unwrap().extend(&items);
            Ok(items)
        });
        let answers = all(&bench, 0..64).await;
        for (item, answer) in (0..64).zip(&answers) {
            assert_eq!(answer.is_err(), item == 13, "{code}: {item}");
        }
        assert!(!answers[13].as_ref().unwrap_err().is_unavailable());
        let mut stored = stored.lock().unwrap().clone();
        stored.sort_unstable();
        assert_eq!(stored, (0..64).filter(|item| *item != 13).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_row_that_makes_us_panic_fails_alone_and_the_writer_goes_on() {
    let bench = bench(1, |items| {
        assert!(!items.contains(&3), "as wanted");
        Ok(items)
    });
    let answers = all(&bench, 0..8).await;
    for (item, answer) in (0..8).zip(answers) {
        assert_eq!(answer.is_err(), item == 3);
    }
    assert_eq!(bench.batcher.submit(4).await.unwrap(), 4);
}

#[tokio::test]
async fn what_lost_to_another_transaction_is_repeated_whole() {
    for code in ["40001", "40P01"] {
        let runs = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&runs);
        let bench = bench(1, move |items| match seen.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Err(refused(code)),
            _ => Ok(items),
        });
        assert_eq!(bench.batcher.submit(1).await.unwrap(), 1);
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    }
}

#[tokio::test]
async fn what_always_loses_is_told_in_the_end_and_may_be_tried_later() {
    let runs = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&runs);
    let bench = bench(1, move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        Err(refused("40001"))
    });
    assert!(bench.batcher.submit(1).await.unwrap_err().is_unavailable());
    assert_eq!(runs.load(Ordering::SeqCst), 1 + REPEATS_MAX as usize);
}

#[tokio::test]
async fn an_outage_fails_the_batch_whole_and_at_once() {
    for code in ["08006", "57P01", "53100", "25006", "57014", "55P03"] {
        let runs = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&runs);
        let bench = bench(1, move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
            Err(refused(code))
        });
        let answers = all(&bench, 0..8).await;
        assert!(answers.into_iter().all(|answer| answer.unwrap_err().is_unavailable()), "{code}");
        assert_eq!(runs.load(Ordering::SeqCst), 1, "{code}: halving would only make it worse");
    }
}

#[tokio::test]
async fn a_caller_who_goes_away_cancels_nothing() {
    let (gate, stored) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (open, log) = (Arc::clone(&gate), Arc::clone(&stored));
    let bench = bench_async(1, move |items| {
        let (open, log) = (Arc::clone(&open), Arc::clone(&log));
        Box::pin(async move {
            open.acquire().await.unwrap().forget();
            log.fetch_add(items.len(), Ordering::SeqCst);
            Ok(items)
        })
    });
    {
        let mut leaving = std::pin::pin!(bench.batcher.submit(1));
        assert!(futures::poll!(&mut leaving).is_pending());
        tokio::task::yield_now().await;
    }
    gate.add_permits(2);
    assert_eq!(bench.batcher.submit(2).await.unwrap(), 2);
    assert_eq!(stored.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn whoever_comes_after_the_stop_is_told_so() {
    let Bench { batcher, tasks, stop } = bench(2, Ok);
    assert_eq!(batcher.submit(1).await.unwrap(), 1);
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    assert!(matches!(batcher.submit(2).await, Err(Error::Stopping)));
}

#[tokio::test]
async fn the_writers_end_when_nobody_can_hand_in_any_more() {
    let Bench { batcher, tasks, .. } = bench(2, Ok);
    drop(batcher);
    tasks.close();
    tasks.wait().await;
}
