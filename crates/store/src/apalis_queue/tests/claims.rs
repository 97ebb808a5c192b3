//! When rows are claimed, and how many.

use super::{
    Handler, Outcome, Role, hanging_at,
    memory::{Memory, PANICS_WHEN_CLAIMED},
    next, reporting,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

#[tokio::test]
async fn every_row_is_handled_exactly_once() {
    let role = Role { slots: 16, ..Role::over(Memory::holding(0..500)) };
    let (handler, mut reports) = reporting();
    let (result, mut seen) = role
        .run(handler, async {
            let mut seen = Vec::new();
            while seen.len() < 500 {
                seen.push(next(&mut reports).await);
            }
            seen
        })
        .await;
    result.unwrap();
    assert!(reports.try_recv().is_err(), "a row was handled twice");
    seen.sort_unstable();
    assert_eq!(seen, (0..500).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wake_is_served_at_once_while_another_handler_hangs() {
    let role = Role { slots: 4, ..Role::over(Memory::holding([0])) };
    let release = Arc::new(Notify::new());
    let (handler, mut reports) = hanging_at(0, &release);
    let (result, mut waits) = role
        .run(handler, async {
            assert_eq!(next(&mut reports).await, 0);
            let mut waits = Vec::new();
            for number in 1..=200 {
                // From rest: the empty claim that follows each batch has been made.
                role.queue.until(|log| log.claims >= 2 * number).await;
                let pushed = Instant::now();
                role.push(number);
                assert_eq!(next(&mut reports).await, number);
                waits.push(pushed.elapsed());
            }
            release.notify_one();
            waits
        })
        .await;
    result.unwrap();
    waits.sort_unstable();
    eprintln!("wake to handler: median {:?}, 99 % {:?}, longest {:?}", waits[100], waits[198], waits[199]);
    assert!(waits[100] < Duration::from_millis(10), "median {:?}", waits[100]);
}

#[tokio::test]
async fn a_wake_that_comes_during_a_claim_is_kept() {
    let role = Role::over(Memory::holding([]));
    role.queue.shut();
    let (handler, mut reports) = reporting();
    let (result, number) = role
        .run(handler, async {
            role.queue.until(|log| log.claims == 1).await;
            role.push(7);
            role.queue.open();
            next(&mut reports).await
        })
        .await;
    result.unwrap();
    assert_eq!(number, 7);
}

#[tokio::test]
async fn the_poll_floor_finds_rows_that_nobody_announced() {
    let role = Role { poll_floor: Duration::from_millis(10), ..Role::over(Memory::holding([])) };
    let (handler, mut reports) = reporting();
    let (result, number) = role
        .run(handler, async {
            role.queue.until(|log| log.claims == 2).await;
            role.queue.push(7);
            next(&mut reports).await
        })
        .await;
    result.unwrap();
    assert_eq!(number, 7);
}

#[tokio::test]
async fn an_empty_queue_is_not_asked_again_when_handlers_end() {
    let role = Role::over(Memory::holding(0..20));
    let (handler, mut reports) = reporting();
    let (result, ()) = role
        .run(handler, async {
            for _ in 0..20 {
                next(&mut reports).await;
            }
            role.queue.until(|log| log.claims == 2).await;
            role.push(20);
            next(&mut reports).await;
            role.queue.until(|log| log.claims >= 4).await;
        })
        .await;
    result.unwrap();
    assert_eq!(role.queue.log().claims, 4, "a full and an empty claim for each of the two batches");
}

#[tokio::test]
async fn a_panic_in_a_claim_does_not_end_the_claims() {
    let role = Role::over(Memory::holding([PANICS_WHEN_CLAIMED]));
    let (handler, mut reports) = reporting();
    let (result, number) = role
        .run(handler, async {
            role.push(7);
            next(&mut reports).await
        })
        .await;
    result.unwrap();
    assert_eq!(number, 7);
}

#[tokio::test]
async fn no_more_is_claimed_than_there_are_slots() {
    let role = Role { slots: 4, ..Role::over(Memory::holding(0..40)) };
    assert_eq!(most_running(&role).await, 4);
    assert_eq!(role.queue.log().held_most, 4);
}

#[tokio::test]
async fn the_concurrency_of_apalis_limits_what_runs() {
    let role = Role { concurrency: 3, ..Role::over(Memory::holding(0..40)) };
    assert_eq!(most_running(&role).await, 3);
    assert_eq!(role.queue.log().held_most, 40, "without slots, a batch is claimed whole");
}

/// Runs the 40 rows of `role` with handlers that each take some turns, and tells how many ran at once.
async fn most_running(role: &Role) -> usize {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (queue, most_seen) = (role.queue.clone(), Arc::clone(&most));
    let handler: Handler = Arc::new(move |_| -> Outcome {
        let (queue, running, most) = (queue.clone(), Arc::clone(&running), Arc::clone(&most));
        Box::pin(async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            running.fetch_sub(1, Ordering::SeqCst);
            queue.finished();
            Ok(())
        })
    });
    let (result, ()) = role.run(handler, role.queue.until(|log| log.claims > 1 && log.held == 0)).await;
    result.unwrap();
    most_seen.load(Ordering::SeqCst)
}
