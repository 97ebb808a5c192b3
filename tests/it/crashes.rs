//! Processes and the database die at any moment; what was acknowledged comes home.

use bytes::Bytes;
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use simulator::{Faults, Script};
use std::time::Duration;
use testkit::{World, WorldBuilder, wait};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Short leases, so that what a dead process held is free again within seconds.
fn short_leases() -> WorldBuilder {
    World::builder()
        .setting("FALCONER_SUBMITTER__SUBMIT_TIMEOUT", "1s")
        .setting("FALCONER_SHUTDOWN__DRAIN", "2s")
        .setting("FALCONER_SUBMITTER__LEASE", "3s")
}

async fn attempts_in(world: &World, state: &str) -> i64 {
    let query = "select count(*) from falconer.attempts where state = $1";
    sqlx::query_scalar(query).bind(state).fetch_one(world.db()).await.expect("the database answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_mid_flight_loses_nothing() {
    let mut world = short_leases().start().await;
    let jobs: Vec<_> = (0..60)
        .map(|number| json!({ "model": "fal-ai/flux/schnell", "input": { "prompt": format!("owl {number}") }, "on_unknown": "impatient" }))
        .collect();
    let accepted = world.post("/v1/jobs/batch", &json!(jobs)).await;
    assert_eq!(accepted.status, 200);

    for ended in [10, 25, 40] {
        world.sim().wait_until(|view| view.counts.completed >= ended).await.unwrap();
        world.kill_9().await;
        world.restart().await;
    }

    wait::until("every job to succeed", async || {
        let query = "select count(*) from falconer.jobs where state = 'succeeded'";
        let done: i64 = sqlx::query_scalar(query).fetch_one(world.db()).await.unwrap();
        if done == 60 { Ok(()) } else { Err(done) }
    })
    .await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_before_it_stored_the_answer_is_found_by_the_callback() {
    let mut world = World::start().await;
    let slow = Faults { submit_slow: 1.0, submit_slow_by: Duration::from_mins(1), ..Faults::default() };
    world.sim().script_next(Script { hold: true, faults: Some(slow), ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.sent("an owl").await;
    world.kill_9().await;
    assert_eq!(attempts_in(&world, "submitting").await, 1);
    world.sim().release_held();

    world.restart().await;
    let job = world.wait_ended_as(id, "succeeded").await;

    assert_eq!(job["attempts_made"], 1);
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_before_it_stored_the_answer_is_found_in_history() {
    let mut world = World::start().await;
    let lost = Faults {
        submit_slow: 1.0,
        submit_slow_by: Duration::from_mins(1),
        callback_all_lost: 1.0,
        ..Faults::default()
    };
    world.sim().script_next(Script { faults: Some(lost), ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.sim().wait_until(|view| view.counts.completed == 1).await.unwrap();
    world.kill_9().await;

    world.restart().await;
    // Whoever was submitting it loses the lease after 30 s; only then may somebody else decide.
    world.advance_clock(Duration::from_secs(31)).await;
    let job = world.wait_ended_as(id, "succeeded").await;

    assert!(world.events(id).await.contains(&"lease_expired".to_owned()));
    assert_eq!(job["attempts_made"], 1);
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_finishes_what_it_began_and_leaves_nothing_unknown() {
    let mut world = World::builder().slots(20).start().await;
    let slow = Faults { submit_slow: 1.0, submit_slow_by: Duration::from_millis(400), ..Faults::default() };
    world.sim().set_faults(slow);
    let ids = world.submit_many(60, "an owl").await;
    world.sim().wait_until(|view| view.counts.accepted >= 5).await.unwrap();

    let (took, clean) = world.terminate().await;

    assert!(clean, "exit code 0; the log ends:\n{}", world.server().log_tail(20));
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert_eq!(attempts_in(&world, "unknown").await, 0);
    assert_eq!(attempts_in(&world, "submitting").await, 0);
    let sent = world.sim().submissions();
    assert!(sent < 60, "it stopped in mid-flight");
    world.restart().await;
    world.wait_all_succeeded(&ids).await;
    assert_eq!(world.sim().submissions(), 60);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_the_accounts_slots_and_one_may_die() {
    let mut world = short_leases().slots(4).setting("FALCONER_SUBMITTER__IN_FLIGHT_MARGIN", "0").start().await;
    let second = world.second_server().await;
    let job = |number: usize| {
        let job = json!({ "model": "fal-ai/flux/schnell", "input": { "prompt": format!("owl {number}") }, "on_unknown": "impatient" });
        Bytes::from(job.to_string())
    };
    let accepted =
        join_all((0..40).map(|number| world.try_call(number % 2 * second, Method::POST, "/v1/jobs", &[], job(number))))
            .await;
    assert!(accepted.into_iter().all(|answer| answer.unwrap().status == 202));
    let mut most = 0;
    let watch = |view: &simulator::View| {
        most = most.max(view.counts.in_progress + view.counts.in_queue);
        view.counts.completed >= 20
    };
    world.sim().wait_until(watch).await.unwrap();

    world.kill_9().await;

    wait::until("every job to succeed", async || {
        let query = "select count(*) from falconer.jobs where state = 'succeeded'";
        let done: i64 = sqlx::query_scalar(query).fetch_one(world.db()).await.unwrap();
        if done == 40 { Ok(()) } else { Err(done) }
    })
    .await;
    assert!(most <= 4, "{most} at fal at once");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_never_ends_its_request_does_not_hold_a_stop() {
    let mut world = short_leases().start().await;
    let addr = world.server().api().strip_prefix("http://").unwrap().to_owned();
    let mut caller = tokio::net::TcpStream::connect(&addr).await.unwrap();
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {}\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n",
        world.api_key()
    );
    caller.write_all(head.as_bytes()).await.unwrap();
    // The server says so when it begins to read the body.
    let mut answer = [0; 12];
    caller.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");

    let (took, clean) = world.terminate().await;

    assert!(clean && took < Duration::from_secs(8), "{took:?}");
    world.restart().await;
    world.drain_and_check().await;
}
