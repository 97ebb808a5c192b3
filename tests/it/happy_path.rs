//! Nothing goes wrong.

use serde_json::Value;
use testkit::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_comes_home_by_its_callback() {
    let world = World::start().await;

    let id = world.submit_prompt("an owl").await;
    let job = world.wait_ended_as(id, "succeeded").await;

    assert_eq!(job["attempts_made"], 1);
    assert!(job["request_id"].is_string());
    assert_eq!(job["links"]["self"], format!("/v1/jobs/{id}"));
    let result: Value = serde_json::from_slice(&world.result(id).await).unwrap();
    assert_eq!(result["prompt"], "an owl");
    assert_eq!(world.callbacks("disposition=applied").await.len(), 1);
    world.drain_and_check().await;
}
