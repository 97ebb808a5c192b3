//! A candidate is a run that a callback named while nobody knew for whom fal signs. It may turn out to be another's.

use super::{lost, state_of, wait_unknown};
use simulator::{Fault, Faults, HistoryMode, Script};
use std::time::Duration;
use testkit::{JobId, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_candidate_is_taken_is_still_found_in_history() {
    let (world, id) = misled(HistoryMode::On).await;

    let job = world.wait_ended_as(id, "succeeded").await;

    assert_eq!(job["request_id"], world.sent("an owl").await.request_id);
    assert_eq!(state_of(&world, id, 1).await, ("succeeded".to_owned(), Some("history".to_owned())));
    assert_eq!((job["attempts_made"].as_u64(), world.sim().submissions()), (Some(1), 2));
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_candidate_is_taken_is_still_given_up() {
    let (world, id) = misled(HistoryMode::Off).await;

    world.advance_clock(Duration::from_mins(181)).await;
    let job = world.wait_ended_as(id, "succeeded").await;

    assert_eq!(state_of(&world, id, 1).await, ("abandoned".to_owned(), None));
    assert_eq!((job["attempts_made"].as_u64(), world.sim().submissions()), (Some(2), 3));
    world.drain_and_check().await;
}

/// Loses the answer about an owl, has a callback at the owl's address name the run of a crow, which fal has not yet told
/// us of, and lets the crow end. Nobody looks for the owl before that.
async fn misled(mode: HistoryMode) -> (World, JobId) {
    let mut world = World::builder()
        .user_id_unknown()
        .roles("api,receiver,submitter")
        .sim(|sim| (sim.history, sim.billing) = (mode, mode))
        .start()
        .await;
    world.sim().script_prompt("an owl", Script { times: Some(1), ..lost() });
    let owl = world.submit_prompt("an owl").await;
    wait_unknown(&world, owl).await;
    let slow = Faults { submit_slow_by: Duration::from_secs(4), ..Faults::only(Fault::SubmitSlow) };
    world.sim().script_prompt("a crow", Script { hold: true, faults: Some(slow), ..Script::default() });
    let crow = world.submit_prompt("a crow").await;

    let (at_owl, run) = (
        world.sent("an owl").await.webhook_url.expect("it was sent with a webhook"),
        world.sent("a crow").await.request_id,
    );
    let body = testkit::ok_body(&run, b"{}");
    let told = world.sim().post_callback(&at_owl, &world.sim().sign(&run, &body), body.clone()).await;
    assert_eq!(told.expect("Falconer answers"), 200);
    assert_eq!(candidate(&world, owl).await.as_deref(), Some(run.as_str()), "the crow's answer came too soon");
    world.wait_job(crow, "to be sent", |job| job["request_id"] == run.as_str()).await;
    world.sim().release_held();
    world.wait_ended_as(crow, "succeeded").await;

    world.second_server().await;
    (world, owl)
}

async fn candidate(world: &World, id: JobId) -> Option<String> {
    let query = "select candidate_request_id from falconer.attempts where job_id = $1";
    sqlx::query_scalar(query).bind(id).fetch_one(world.db()).await.expect("the attempt is there")
}
