//! fal's signing keys: away, rotated, kept across restarts.

use serde_json::json;
use std::time::Duration;
use testkit::{World, wait};

#[tokio::test(flavor = "multi_thread")]
async fn fals_keys_may_be_away_and_rotate_and_no_callback_is_taken_unchecked() {
    let mut world = World::start().await;
    let first = world.submit_prompt("first").await;
    world.wait_ended_as(first, "succeeded").await;
    kept_set(&world).await;

    // The kept set serves a restart while fal's key host is away.
    world.sim().jwks_down(true);
    world.kill_9().await;
    world.restart().await;
    let second = world.submit_prompt("second").await;
    world.wait_ended_as(second, "succeeded").await;
    assert_eq!(world.callbacks("disposition=applied").await.len(), 2);

    // A new key that nobody can fetch is no reason to believe it, and none to call fal a forger.
    world.sim().rotate_keys(simulator::RotateMode::NewOnly);
    let third = world.submit_prompt("third").await;
    world.wait_ended_as(third, "succeeded").await;
    let request = world.sent("third").await;
    assert!(request.webhook_tries.iter().all(|seen| !seen.delivered()), "{:#?}", request.webhook_tries);
    world.drain_and_check().await;
}

/// T9 in a real process, as long as one cool-down. Ten minutes of it are told in `crates/fal/tests/it/jwks_outage.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_with_a_rotation_every_callback_that_was_put_off_is_taken() {
    // Looks are far away, so that nothing but callbacks brings these home.
    let mut world = World::builder()
        .sim(|sim| {
            sim.webhook_backoff_longest = Duration::from_secs(1);
            sim.webhook_tries_max = 100;
        })
        .setting("FALCONER_RECONCILER__FIRST_LOOK", "10m")
        .start()
        .await;
    let first = world.submit_prompt("first").await;
    world.wait_ended_as(first, "succeeded").await;
    kept_set(&world).await;
    world.sim().jwks_down(true);
    world.sim().rotate_keys(simulator::RotateMode::NewOnly);
    world.kill_9().await;
    world.restart().await;

    let job = |number| json!({ "model": "fal-ai/another", "input": { "prompt": format!("owl {number}") } });
    for number in 0..5 {
        world.submit(job(number)).await;
    }
    let put_off =
        |view: &simulator::View| view.requests.iter().skip(1).filter(|seen| seen.webhook_tries.len() > 2).count();
    world.sim().wait_until(|view| put_off(view) == 5).await.unwrap();
    world.sim().jwks_down(false);
    let taken = |view: &simulator::View| {
        view.requests.iter().all(|seen| seen.webhook_tries.iter().any(simulator::TryView::delivered))
    };
    let view = world.sim().wait_until_for(Duration::from_secs(45), taken).await.unwrap();

    for request in view.requests.iter().skip(1) {
        let statuses: Vec<Option<u16>> = request.webhook_tries.iter().map(|seen| seen.status).collect();
        let (last, before) = statuses.split_last().unwrap();
        assert!(*last == Some(200) && before.iter().all(|status| *status == Some(503)), "{statuses:?}");
    }
    // At the start, in the outage, and after it.
    assert_eq!(view.counts.jwks_reads, 3);
    world.drain_and_check().await;
}

/// Waits until the fetched keys are kept for the next start.
async fn kept_set(world: &World) {
    wait::until("the key set to be kept", async || {
        let query = "select count(*) from falconer.key_sets";
        let sets: i64 = sqlx::query_scalar(query).fetch_one(world.db()).await.expect("the database answers");
        if sets == 1 { Ok(()) } else { Err(sets) }
    })
    .await;
}
