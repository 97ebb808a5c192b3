//! Genuine callbacks that cannot be taken as they are.

use simulator::{Fault, Faults};
use std::collections::BTreeMap;
use testkit::{World, wait};

use crate::callbacks_in::dispositions;

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_callback_is_kept_and_fal_is_asked_instead() {
    let world = World::builder()
        .faults(Faults::only(Fault::CallbackStale))
        .setting("FALCONER_RECONCILER__FIRST_LOOK", "1m")
        .start()
        .await;

    let id = world.submit_prompt("an owl").await;
    world.wait_ended_as(id, "succeeded").await;

    assert_eq!(dispositions(&world, id).await, BTreeMap::from([("stale_stamp".to_owned(), 1)]));
    assert!(world.sim().requests()[0].webhook_tries[0].delivered());
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_payload_means_that_the_result_is_fetched() {
    let world = World::builder()
        .faults(Faults::only(Fault::CallbackNullPayload))
        .setting("FALCONER_RECONCILER__FIRST_LOOK", "1m")
        .start()
        .await;

    let id = world.submit_prompt("an owl").await;
    world.wait_ended_as(id, "succeeded").await;

    assert_eq!(dispositions(&world, id).await, BTreeMap::from([("null_payload".to_owned(), 1)]));
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_json_ends_applied_or_kept_with_its_cause_and_can_be_read_back() {
    let world = World::builder().faults(Faults::only(Fault::CallbackHostileJson)).start().await;

    let ids = world.submit_many(16, "an owl").await;
    world.wait_all_succeeded(&ids).await;

    for id in &ids {
        assert!(!world.result(*id).await.is_empty());
        assert!(world.events(*id).await.len() > 2);
        for callback in world.callbacks(&format!("job_id={id}")).await {
            let kept = callback["disposition"] == "kept" && callback["cause"].is_string();
            assert!(kept || callback["disposition"] == "applied", "{callback:#}");
            let raw = world.get(callback["links"]["raw"].as_str().unwrap()).await;
            assert_eq!(raw.status, 200);
            assert_eq!(raw.body.len() as u64, callback["body_bytes"].as_u64().unwrap());
        }
    }
    assert_eq!(world.get("/v1/jobs?limit=100").await.json()["items"].as_array().unwrap().len(), 16);
    // Each was acknowledged at its first try: none of them makes fal come again and again.
    assert!(world.sim().requests().iter().all(|request| request.webhook_tries.len() == 1));
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_is_too_large_is_refused_and_the_result_is_fetched() {
    let world = World::builder().faults(Faults::only(Fault::CallbackOversize)).start().await;

    let id = world.submit_prompt("an owl").await;
    world.wait_ended_as(id, "succeeded").await;

    // It is turned away before it has been read, so fal may find the connection closed instead of the answer.
    let status = world.sim().requests()[0].webhook_tries[0].status;
    assert!(matches!(status, Some(413) | None), "{status:?}");
    let rejected = wait::until("the rejected call to be kept", async || {
        world.callbacks("disposition=rejected").await.pop().ok_or("none")
    })
    .await;
    assert_eq!(rejected["cause"], "too_large");
    world.drain_and_check().await;
}
