//! How a worker ends, and what does not end it.

use super::{
    Handler, PATIENCE, Role, hanging_at,
    memory::{Memory, PANICS_WHEN_NAMED},
    next, reporting,
};
use crate::apalis_queue::{RunError, run};
use apalis::prelude::Monitor;
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

#[tokio::test]
async fn a_panic_in_a_handler_stops_nothing() {
    let role = Role::over(Memory::holding([0, 1, 2]));
    let (inner, mut reports) = reporting();
    let handler: Handler = Arc::new(move |job| {
        let number = job.number;
        let outcome = inner(job);
        Box::pin(async move {
            assert!(number != 1, "asked to");
            outcome.await
        })
    });
    let (result, seen) = role
        .run(handler, async {
            let first = [next(&mut reports).await, next(&mut reports).await];
            role.push(3);
            (first, next(&mut reports).await)
        })
        .await;
    result.unwrap();
    assert_eq!(seen, ([0, 2], 3));
}

#[tokio::test]
async fn a_stop_hands_back_at_once_what_was_not_started_and_waits_for_what_was() {
    let floor = Duration::from_millis(10);
    let role = Role { concurrency: 1, poll_floor: floor, ..Role::over(Memory::holding(0..8)) };
    let release = Arc::new(Notify::new());
    let (inner, mut reports) = hanging_at(0, &release);
    let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let handler: Handler = Arc::new(move |job| {
        let (outcome, ended) = (inner(job), ended.clone());
        Box::pin(async move {
            outcome.await?;
            Ok(ended.send(())?)
        })
    });
    let (result, ()) = role
        .run(handler, async {
            assert_eq!(next(&mut reports).await, 0);
            role.stop.cancel();
            // The handler of row 0 still hangs here.
            role.queue.until(|log| log.handed_back == [1, 2, 3, 4, 5, 6, 7]).await;
            assert!(ends.try_recv().is_err());
            release.notify_one();
        })
        .await;
    result.unwrap();
    assert!(ends.try_recv().is_ok(), "the started handler was cut off");
    assert!(reports.try_recv().is_err(), "a row was started after the stop");
}

#[tokio::test]
async fn a_claim_in_flight_at_the_stop_is_handed_back() {
    let role = Role::over(Memory::holding([5, 6]));
    role.queue.shut();
    let (handler, mut reports) = reporting();
    let (result, ()) = role
        .run(handler, async {
            role.queue.until(|log| log.claims == 1).await;
            role.stop.cancel();
            tokio::task::yield_now().await;
            role.queue.open();
        })
        .await;
    result.unwrap();
    assert_eq!(role.queue.log().handed_back, [5, 6]);
    assert!(reports.try_recv().is_err());
}

#[tokio::test]
async fn a_handler_that_outlasts_the_drain_is_told_of() {
    let role = Role { drain: Duration::from_millis(10), ..Role::over(Memory::holding([0])) };
    let (handler, mut reports) = hanging_at(0, &Arc::new(Notify::new()));
    let (result, number) = role.run(handler, next(&mut reports)).await;
    assert_eq!(number, 0);
    assert!(matches!(result, Err(RunError::Drain { running: 1 })), "{result:?}");
}

#[tokio::test]
async fn a_worker_that_fails_is_started_again_and_hands_back_the_rest() {
    let role = Role::over(Memory::holding([PANICS_WHEN_NAMED, 1, 2]));
    let (handler, mut reports) = reporting();
    let (result, number) = role
        .run(handler, async {
            role.queue.until(|log| log.handed_back == [1, 2]).await;
            role.push(3);
            next(&mut reports).await
        })
        .await;
    result.unwrap();
    assert_eq!(number, 3);
}

#[tokio::test]
async fn a_worker_that_fails_again_and_again_stops_the_others_and_ends_the_run() {
    let broken = Role { batch: 1, ..Role::over(Memory::holding([PANICS_WHEN_NAMED; 100])) };
    let sound = Role::over(Memory::holding([]));
    let (handler, _reports) = reporting();
    let monitor = broken.register(Monitor::new(), Arc::clone(&handler));
    let ended = run(sound.register(monitor, handler), &sound.stop, PATIENCE);
    let result = tokio::time::timeout(PATIENCE, ended).await.expect("nobody else stops it");
    assert!(matches!(result, Err(RunError::Worker(_))), "{result:?}");
}
