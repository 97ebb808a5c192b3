//! Reading a result again is free; making it again costs money, and says how much first.

use serde_json::json;
use simulator::Script;
use testkit::{World, error_body};

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_whose_result_fal_still_holds_is_refetched_once_and_free() {
    let world = World::start().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let id = world.submit(json!({ "max_attempts": 1, "input": { "prompt": "an owl" } })).await;
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
    let request = world.sent("an owl").await;
    assert_eq!(world.forge(&request, error_body(&request.request_id, 500)).await, 200);
    world.wait_ended_as(id, "failed").await;
    let open = world.post(&format!("/v1/jobs/{id}/refetch"), &json!({})).await;
    assert_eq!(open.json()["type"], "/errors/nothing-to-refetch");

    world.sim().release_held();
    world.sim().wait_until(|view| view.counts.completed == 1).await.unwrap();
    let first = world.post(&format!("/v1/jobs/{id}/refetch"), &json!({})).await;
    let again = world.post(&format!("/v1/jobs/{id}/refetch"), &json!({})).await;

    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(first.job_id(), again.job_id());
    let made = first.json();
    assert_eq!(made["state"], "succeeded");
    assert_eq!(made["links"]["refetched_from"], format!("/v1/jobs/{id}"));
    assert_eq!(made["cost"]["charged"], "0");
    assert_eq!(world.result(first.job_id()).await, world.fal_result(&request).await);
    assert_eq!(world.job(id).await["state"], "failed");
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regeneration_takes_edits_and_stops_at_its_limit() {
    let world = World::start().await;
    let id = world.submit(json!({ "tags": ["cover"], "metadata": { "order": 7 } })).await;
    let first = world.wait_ended_as(id, "succeeded").await;
    let path = format!("/v1/jobs/{id}/regenerate");

    let too_dear = world.post(&path, &json!({ "max_cost": "0.000001" })).await;
    let made = world.post(&path, &json!({ "max_cost": "5", "input": { "prompt": "an eagle" } })).await;

    assert_eq!((too_dear.status, too_dear.json()["type"].as_str()), (402, Some("/errors/cost-too-high")));
    assert_eq!(made.status, 202, "{}", made.json());
    let again = world.wait_ended_as(made.job_id(), "succeeded").await;
    assert_eq!((&again["tags"], &again["metadata"]), (&first["tags"], &first["metadata"]));
    let result: serde_json::Value = serde_json::from_slice(&world.result(made.job_id()).await).unwrap();
    assert_eq!(result["prompt"], "an eagle");
    assert_eq!(world.sim().submissions(), 2);
    world.drain_and_check().await;
}
