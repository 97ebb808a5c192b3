//! Strangers at the callback listener: junk in floods, and sockets that are held open. `falconer bench flood` is the same
//! at full size.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

mod junk;
mod sockets;

use junk::{Flood, JUNK_PER_SECOND};
use simulator::{RequestView, Script};
use sockets::{STALLED, STALLED_BYTES, SlowSockets, Stalled};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use testkit::{JobId, World, ok_body, wait};

const SLOW_SOCKETS: usize = 500;
const FLOOD: Duration = Duration::from_secs(3);
/// What a flood may cost in resident memory.
const MEMORY_MAX: u64 = 64 << 20;
/// Callbacks of one account for one attempt that are settled in a burst.
const CALLBACKS_AT_ONCE: usize = 64;
/// What all bodies of callbacks may take, beyond the first of each.
const BODIES_MAX: u64 = 256 << 20;

/// F42, F53, T13.
#[tokio::test(flavor = "multi_thread")]
async fn junk_and_slow_sockets_keep_no_callback_out_and_cost_neither_memory_nor_statements() {
    let world = World::builder().slots(60).start().await;
    world.sim().script_prompt("held", Script { hold: true, ..Script::default() });
    let held = world.submit_many(50, "held owl").await;
    world.sim().wait_until(|view| view.counts.accepted >= 50).await.unwrap();
    // Keys are fetched and pools connected before anything is measured.
    let warm = world.submit_prompt("an owl").await;
    world.wait_ended_as(warm, "succeeded").await;
    let pid = world.server().pid().unwrap();
    let (before, quiet) = (resident(pid), transactions_in(&world, FLOOD).await);

    let flood = Flood::start(&world, junk::not_found_junk()).await;
    let slow = SlowSockets::open(&world, SLOW_SOCKETS).await;
    let flooded = transactions_in(&world, FLOOD).await;
    // While it goes on, callbacks come in, and each is taken at its first try.
    world.sim().release_held();
    world.wait_all_succeeded(&held).await;
    let peak = resident(pid);
    let (served, statuses) = flood.stop().await;
    slow.close().await;

    let requests = world.sim().requests();
    let refused: Vec<&RequestView> =
        requests.iter().filter(|request| request.webhook_tries[0].status != Some(200)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    assert_eq!(statuses, [404], "junk is nothing");
    assert!(served > JUNK_PER_SECOND, "the flood was on: {served}");
    let grown = peak.saturating_sub(before);
    eprintln!("{served} junk calls: {} MB more, {flooded} transactions, {quiet} without", grown >> 20);
    assert!(grown < MEMORY_MAX, "{} MB more", grown >> 20);
    assert!(flooded < quiet + served / 20, "{flooded} transactions in a flood of {served}, {quiet} without");
    world.drain_and_check().await;
}

/// Whoever has seen a callback's URL has a good token, and no key to sign with.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_under_a_token_that_leaked_costs_a_line_and_a_statement_a_second() {
    let (world, id, request) = held_owl().await;
    let began = Instant::now();
    let quiet = transactions_in(&world, FLOOD).await;

    let flood = Flood::start(&world, junk::unsigned_junk(&request)).await;
    let flooded = transactions_in(&world, FLOOD).await;
    let (served, statuses) = flood.stop().await;
    world.sim().release_held();
    world.wait_ended_as(id, "succeeded").await;

    assert_eq!(statuses, [401]);
    assert!(served > 200, "the flood was on: {served}");
    assert!(flooded < quiet + served / 20, "{flooded} transactions in a flood of {served}, {quiet} without");
    let seconds = a_line_a_second_at_most(&world, began);
    let query = "select count(*) from falconer.callbacks where disposition = 'rejected'";
    let kept: i64 = sqlx::query_scalar(query).fetch_one(world.db()).await.unwrap();
    assert!(kept > 0 && usize::try_from(kept).unwrap() <= 128 * (seconds + 1), "{kept} rows");
    world.drain_and_check().await;
}

/// Whoever has seen a callback's URL can have fal sign for an account of their own, and send that again and again.
#[tokio::test(flavor = "multi_thread")]
async fn what_fal_signed_for_another_account_keeps_no_callback_out_and_fills_nothing() {
    let (world, id, request) = held_owl().await;
    let began = Instant::now();
    let quiet = transactions_in(&world, FLOOD).await;

    let flood = Flood::start(&world, junk::signed_for_another(&world, &request)).await;
    let flooded = transactions_in(&world, FLOOD).await;
    world.sim().release_held();
    world.wait_ended_as(id, "succeeded").await;
    let (served, statuses) = flood.stop().await;

    assert_eq!(statuses, [401, 503], "some are judged, the rest are not");
    assert!(served > 200, "the flood was on: {served}");
    assert!(flooded < quiet + 2 * CALLBACKS_AT_ONCE, "{flooded} transactions in a flood of {served}, {quiet} without");
    let tries = world.sim().request(&request.request_id).unwrap().webhook_tries;
    assert_eq!(tries[0].status, Some(200), "ours came in at its first try");
    let seconds = a_line_a_second_at_most(&world, began);
    let rejected = "select count(*) from falconer.callbacks where disposition = 'rejected' and cause = 'wrong_user'";
    let kept: i64 = sqlx::query_scalar(rejected).fetch_one(world.db()).await.unwrap();
    assert!((1..=CALLBACKS_AT_ONCE + seconds / 10).contains(&usize::try_from(kept).unwrap()), "{kept} rows");
    world.drain_and_check().await;
}

/// Each connection may hold a body of 8 MB, and there may be 2,048 of them.
#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_that_stall_are_bounded_together_and_keep_no_small_callback_out() {
    let world = World::builder().start().await;
    world.sim().script_prompt("owl", Script { hold: true, ..Script::default() });
    let (small, large) = (world.submit_prompt("a small owl").await, world.submit_prompt("a large owl").await);
    for id in [small, large] {
        world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
    }
    let (to_small, to_large) = (world.sent("a small owl").await, world.sent("a large owl").await);
    let warm = world.submit_prompt("something else").await;
    world.wait_ended_as(warm, "succeeded").await;
    let pid = world.server().pid().unwrap();
    let before = resident(pid);

    let stalled = Stalled::open(&world, &to_small).await;
    let grown = resident(pid).saturating_sub(before);
    eprintln!("{STALLED} bodies of {STALLED_BYTES} bytes: {} MB more", grown >> 20);
    assert!(grown < BODIES_MAX + MEMORY_MAX, "{} MB more", grown >> 20);
    let body = ok_body(&to_small.request_id, br#"{"images": []}"#);
    assert_eq!(world.forge(&to_small, body).await, 200, "a small one is taken at its first try");
    world.wait_ended_as(small, "succeeded").await;

    stalled.close().await;
    let body = ok_body(&to_large.request_id, format!(r#"{{"images": "{}"}}"#, "a".repeat(4 << 20)).as_bytes());
    wait::until("the room to be free again", async || match world.forge(&to_large, body.clone()).await {
        200 => Ok(()),
        status => Err(status),
    })
    .await;
    world.wait_ended_as(large, "succeeded").await;
    world.sim().release_held();
    world.drain_and_check().await;
}

/// A job whose run is held at fal. The keys are there, so that what they do not verify is forged.
async fn held_owl() -> (World, JobId, RequestView) {
    let world = World::builder().start().await;
    world.sim().script_prompt("owl", Script { hold: true, ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
    let request = world.sent("an owl").await;
    let warm = world.submit_prompt("something else").await;
    world.wait_ended_as(warm, "succeeded").await;
    (world, id, request)
}

/// Rejections were told of, and not in a flood; returns how many seconds have passed.
fn a_line_a_second_at_most(world: &World, began: Instant) -> usize {
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    let lines = world.server().log().lines().filter(|line| line.contains("was rejected")).count();
    assert!((1..=seconds).contains(&lines), "{lines} lines in {seconds} s");
    seconds
}

fn callbacks(world: &World) -> SocketAddr {
    world.server().callbacks().strip_prefix("http://").unwrap().parse().unwrap()
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// Transactions in the world's database within `time`, those of the server's own loops among them. Backends report
/// theirs once a second, which the comparison of two equal times leaves out.
async fn transactions_in(world: &World, time: Duration) -> usize {
    let count = async || {
        let query = "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()";
        let count: i64 = sqlx::query_scalar(query).fetch_one(world.db()).await.unwrap();
        usize::try_from(count).unwrap()
    };
    let before = count().await;
    wait::let_pass(time).await;
    count().await - before
}
