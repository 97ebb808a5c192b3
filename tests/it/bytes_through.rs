//! What the caller sends reaches fal, and what fal sends reaches the caller, byte for byte.

use reqwest::Method;
use simulator::{Fault, Faults, Outcome, Script};
use testkit::World;

/// Beyond what a 64-bit float or a signed integer holds, and seen in real payloads.
const SEED: &str = "17454220438242315174";

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_spaces_of_an_input_reach_fal_as_they_were_written() {
    let world = World::start().await;
    let input = format!(
        r#"{{ "prompt" :"caf\u00e9 é",  "seed": {SEED}, "guidance_scale": 3.50, "strength": 1e-7, "b": 2, "a":1 }}"#
    );

    let body = format!(r#"{{"input": {input}, "model": "fal-ai/flux/schnell"}}"#);
    let id = world.call(Method::POST, "/v1/jobs", &[], body).await.job_id();
    world.wait_ended_as(id, "succeeded").await;

    assert_eq!(world.sim().requests()[0].input, input);
    assert!(String::from_utf8(world.result(id).await.to_vec()).unwrap().contains(SEED));
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_reaches_the_caller_as_fal_wrote_it_by_callback_and_by_poll() {
    let body =
        format!(r#"{{"seed":{SEED},"timings":{{"inference":0.10000000000000001}},"z":1.0,"a":[],"s":"\u00e9"}}"#);
    for faults in [Faults::default(), Faults::only(Fault::CallbackAllLost)] {
        let world = World::builder().faults(faults).start().await;
        let outcome = Outcome::Answer { status: 200, body: body.clone() };
        world.sim().script_next(Script { outcome: Some(outcome), ..Script::default() });

        let id = world.submit_prompt("an owl").await;
        world.wait_ended_as(id, "succeeded").await;

        let result = world.result(id).await;
        let text = String::from_utf8(result.to_vec()).unwrap();
        // Callbacks carry Python's white space; nothing else may differ.
        assert_eq!(text.replace(": ", ":").replace(", ", ","), body);
        world.drain_and_check().await;
    }
}
