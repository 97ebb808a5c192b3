//! Trouble of one account that is not the other's.

use super::*;
use simulator::Script;

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_slots_are_full_does_not_hold_up_the_other() {
    let world = two_accounts(1).start().await;
    let studio = Studio::set_up(&world, 1).await;
    world.sim().script_prompt("held", Script { hold: true, ..Script::default() });
    let mut theirs = Vec::new();
    for number in 0..8 {
        theirs.push(studio.submit(&world, &format!("held portrait {number}")).await);
    }
    world.sim().wait_until(|view| view.requests.len() == 3).await.unwrap();

    let ours = world.submit_many(30, "a lighthouse").await;
    world.wait_all_succeeded(&ours).await;

    assert_eq!(requests_of(&world, STUDIO).len(), 3, "one slot and the margin of two");
    let waiting = studio.wait_job(&world, theirs[7], "to wait", |job| job["waiting"]["reason"] == "slots").await;
    assert_eq!(waiting["state"], "queued");
    world.sim().clear_scripts();
    world.sim().release_held();
    for id in theirs {
        studio.wait_succeeded(&world, id).await;
    }
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_fal_refuses_opens_the_circuit_of_its_account_alone() {
    let world = two_accounts(5).start().await;
    let studio = Studio::set_up(&world, 5).await;
    world.sim().set_keys(STUDIO, &[]);

    let theirs = studio.submit(&world, "a studio portrait").await;
    studio.wait_job(&world, theirs, "to wait", |job| job["waiting"]["reason"] == "circuit_open").await;
    let ours = world.submit_many(10, "a lighthouse").await;
    world.wait_all_succeeded(&ours).await;

    let open = "select credential_id::text from falconer.circuits";
    let open: Vec<String> = sqlx::query_scalar(open).fetch_all(world.db()).await.unwrap();
    assert_eq!(open, std::slice::from_ref(&studio.id));
    world.sim().set_keys(STUDIO, &[STUDIO_KEY]);
    studio.wait_succeeded(&world, theirs).await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_disabled_credential_wait_and_are_not_lost() {
    let world = two_accounts(5).start().await;
    let studio = Studio::set_up(&world, 5).await;
    world.sim().script_prompt("held", Script { hold: true, ..Script::default() });
    let running = studio.submit(&world, "a held portrait").await;
    world.sent("a held portrait").await;

    let disabled = studio.change(&world, "disable", &Value::Null).await;
    assert!(disabled["disabled_at"].is_string());
    let waiting = studio.submit(&world, "a studio portrait").await;
    let job = studio.wait_job(&world, waiting, "to wait", |job| job["waiting"]["reason"] == "paused").await;
    assert_eq!(job["state"], "queued");
    let ours = world.submit_prompt("a lighthouse").await;
    world.wait_ended_as(ours, "succeeded").await;

    world.sim().release_held();
    studio.wait_succeeded(&world, running).await;
    assert_eq!(requests_of(&world, STUDIO).len(), 1, "what fal had came home, and nothing else was sent");
    studio.change(&world, "enable", &Value::Null).await;
    studio.wait_succeeded(&world, waiting).await;
    world.drain_and_check().await;
}
