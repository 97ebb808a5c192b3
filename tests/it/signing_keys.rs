//! fal's signing keys: away, rotated, kept across restarts.

use testkit::{World, wait};

#[tokio::test(flavor = "multi_thread")]
async fn fals_keys_may_be_away_and_rotate_and_no_callback_is_taken_unchecked() {
    let mut world = World::start().await;
    let first = world.submit_prompt("first").await;
    world.wait_ended_as(first, "succeeded").await;
    wait::until("the key set to be kept", async || {
        let query = "select count(*) from falconer.key_sets";
        let sets: i64 = sqlx::query_scalar(query).fetch_one(world.db()).await.unwrap();
        if sets == 1 { Ok(()) } else { Err(sets) }
    })
    .await;

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
