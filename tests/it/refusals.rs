//! fal says no, or not now.

use simulator::{Fault, Faults, Script};
use std::time::Duration;
use testkit::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_keeps_all_jobs_queued_and_burns_no_attempt() {
    for fault in [Fault::Submit401, Fault::Submit403] {
        let world = World::builder().faults(Faults::only(fault)).start().await;
        let ids = world.submit_many(6, "an owl").await;
        for id in &ids {
            let waits = |job: &serde_json::Value| job["waiting"]["reason"] == "circuit_open";
            let job = world.wait_job(*id, "to wait for the circuit", waits).await;
            assert_eq!(job["state"], "queued");
            assert_eq!(job["attempts_made"], 0);
        }
        let refused = world.sim().counts().refused;

        world.sim().set_faults(Faults::default());
        world.advance_clock(Duration::from_secs(6)).await;
        world.wait_all_succeeded(&ids).await;

        for id in &ids {
            assert_eq!(world.job(*id).await["attempts_made"], 1);
        }
        // Nothing was sent while the circuit was open.
        assert_eq!(world.sim().counts().refused, refused);
        assert_eq!(world.sim().submissions(), 6);
        world.drain_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_waited_out_and_counts_as_no_attempt() {
    let world = World::start().await;
    let limited = Script { faults: Some(Faults::only(Fault::Submit429)), times: Some(2), ..Script::default() };
    world.sim().script_next(limited);

    let id = world.submit_prompt("an owl").await;
    world.wait_job(id, "to be pushed back", |job| job["state"] == "queued" && job["attempts_made"] == 0).await;
    let job = world.wait_ended_as(id, "succeeded").await;

    assert_eq!(job["attempts_made"], 1);
    assert_eq!(world.sim().counts().refused, 2);
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_fal_itself_is_tried_again_and_counted() {
    let world = World::start().await;
    world.sim().script_next(Script { faults: Some(Faults::only(Fault::Submit5xx)), ..Script::default() });

    let id = world.submit_prompt("an owl").await;
    let job = world.wait_ended_as(id, "succeeded").await;

    assert_eq!(job["attempts_made"], 2);
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_input_and_an_unknown_model_fail_at_once_and_free() {
    let world = World::start().await;
    let bad_input = world.submit(serde_json::json!({ "input": { "prompt": 7 } })).await;
    let bad_model = world.submit(serde_json::json!({ "model": "nobody/nothing" })).await;

    let by_input = world.wait_ended_as(bad_input, "failed").await;
    let by_model = world.wait_ended_as(bad_model, "failed").await;

    assert_eq!(by_input["error"]["class"], "validation");
    assert_eq!(by_model["error"]["class"], "unknown_model");
    for job in [by_input, by_model] {
        assert_eq!(job["error"]["charged"], false);
        assert_eq!(job["attempts_made"], 1);
        assert_eq!(job["cost"]["charged"], "0");
    }
    let result = world.get(&format!("/v1/jobs/{bad_input}/result")).await;
    assert_eq!((result.status, result.json()["type"].as_str()), (422, Some("/errors/job-failed")));
    assert_eq!(world.sim().counts().refused, 2);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_is_tried_again_and_a_refused_picture_is_not() {
    let world = World::start().await;
    let runner =
        Script { outcome: Some(simulator::Outcome::RunnerError("runner_server_error".into())), ..Script::default() };
    world.sim().script_prompt("flaky", Script { times: Some(2), ..runner });
    let model = simulator::Outcome::ModelError("content_policy_violation".into());
    world.sim().script_prompt("rude", Script { outcome: Some(model), ..Script::default() });

    let flaky = world.submit_prompt("flaky").await;
    let rude = world.submit_prompt("rude").await;

    assert_eq!(world.wait_ended_as(flaky, "succeeded").await["attempts_made"], 3);
    let rude = world.wait_ended_as(rude, "failed").await;
    assert_eq!(rude["error"]["class"], "content_policy");
    assert_eq!(rude["attempts_made"], 1);
    world.drain_and_check().await;
}
