//! Minted callback URLs.

use super::{attempt, count, ledger, mint, problem, send};
use reqwest::Method;
use serde_json::{Value, json};
use simulator::{Fault, Faults, Script};
use std::time::Duration;
use testkit::World;

#[tokio::test(flavor = "multi_thread")]
async fn what_its_caller_sends_with_a_minted_url_comes_home_and_is_never_sent_by_us() {
    let world = World::start().await;
    let (id, url) = mint(&world, json!({ "metadata": { "order": "4711" }, "tags": ["spring"] })).await;
    assert_eq!(world.job(id).await["waiting"]["reason"], "unknown_outcome");

    let request = send(&world, "an owl", Some(&url)).await;
    let job = world.wait_ended_as(id, "succeeded").await;

    assert_eq!(job["request_id"], request.as_str());
    assert_eq!((&job["metadata"]["order"], &job["tags"][0]), (&json!("4711"), &json!("spring")));
    let result: Value = serde_json::from_slice(&world.result(id).await).unwrap();
    assert_eq!(result["prompt"], "an owl");
    assert_eq!(attempt(&world, id).await, ("succeeded".to_owned(), Some("callback".to_owned())));
    assert_eq!(ledger(&world, id).await, ["charge"]);
    assert_eq!(world.sim().submissions(), 1);
    assert!(world.events(id).await.contains(&"minted".to_owned()), "{:?}", world.events(id).await);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_nobody_used_is_abandoned_when_it_expires_and_fal_was_asked_nothing() {
    let world = World::start().await;
    let expires_at = super::now(&world).await + Duration::from_mins(30);
    let (id, _) = mint(&world, json!({ "expires_at": expires_at })).await;

    world.advance_clock(Duration::from_mins(29)).await;
    assert_eq!(world.job(id).await["state"], "running", "it has a minute left");
    world.advance_clock(Duration::from_mins(2)).await;
    let job = world.wait_ended_as(id, "failed").await;

    assert_eq!((&job["error"]["class"], &job["error"]["charged"]), (&json!("abandoned"), &Value::Null));
    assert_eq!(attempt_looks(&world, id).await, 1, "it was looked at when it expired, and not before");
    let counts = world.sim().counts();
    assert_eq!((world.sim().submissions(), counts.looks, counts.history_pages), (0, 0, 0));
    assert_eq!(ledger(&world, id).await, ["possible_charge"], "whether it was used, nobody knows");

    let again = world.post(&format!("/v1/jobs/{id}/regenerate"), &json!({})).await;
    assert_eq!((again.status, problem(&again)), (409, "input-unknown".to_owned()));
    let again = world.post(&format!("/v1/jobs/{id}/refetch"), &json!({})).await;
    assert_eq!((again.status, problem(&again)), (409, "nothing-to-refetch".to_owned()));
    let again = world.post(&format!("/v1/jobs/{id}/regenerate"), &json!({ "input": { "prompt": "an owl" } })).await;
    world.wait_ended_as(again.job_id(), "succeeded").await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_that_wait_take_no_place_from_what_falconer_sends() {
    let world = World::builder().slots(1).setting("FALCONER_SUBMITTER__IN_FLIGHT_MARGIN", "0").start().await;
    for _ in 0..5 {
        mint(&world, json!({})).await;
    }
    let id = world.submit_prompt("an owl").await;
    world.wait_ended_as(id, "succeeded").await;
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_requests_with_one_url_the_first_is_the_jobs_and_the_second_is_kept_and_told() {
    let world = World::builder()
        .setting("FALCONER_AUDIT__AT", "* * * * * *")
        .setting("FALCONER_AUDIT__GRACE", "0s")
        .start()
        .await;
    let (id, url) = mint(&world, json!({})).await;
    let first = send(&world, "an owl", Some(&url)).await;
    world.wait_ended_as(id, "succeeded").await;

    let second = send(&world, "a crow", Some(&url)).await;
    let kept = testkit::wait::until("the second callback", async || {
        let kept = world.callbacks("disposition=kept&cause=conflict").await;
        if kept.len() == 1 { Ok(kept) } else { Err(kept) }
    })
    .await;

    assert_eq!((&kept[0]["request_id"], &kept[0]["job_id"]), (&json!(second), &json!(id)));
    assert_eq!(world.job(id).await["request_id"], first.as_str());
    let result: Value = serde_json::from_slice(&world.result(id).await).unwrap();
    assert_eq!(result["prompt"], "an owl");
    let tries = world.sim().request(&second).unwrap().webhook_tries.len();
    assert_eq!(tries, 1, "fal is not made to repeat it");
    testkit::wait::until("the orphan charge", async || {
        let query = "select request_id from falconer.orphan_charges";
        let found: Vec<String> = sqlx::query_scalar(query).fetch_all(world.db()).await.unwrap();
        if found == [second.clone()] { Ok(()) } else { Err(found) }
    })
    .await;
    assert_eq!(ledger(&world, id).await, ["charge"]);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_knows_for_whom_fal_signs_the_named_request_comes_home_by_fals_own_word() {
    let world = World::builder().user_id_unknown().start().await;
    let (id, url) = mint(&world, json!({})).await;

    let request = send(&world, "an owl", Some(&url)).await;
    let job = world.wait_ended_as(id, "succeeded").await;

    assert_eq!(job["request_id"], request.as_str());
    assert_eq!(attempt(&world, id).await, ("succeeded".to_owned(), Some("history".to_owned())));
    assert_eq!(world.callbacks("disposition=kept&cause=user_unpinned").await.len(), 1);
    assert_eq!((world.sim().submissions(), world.sim().counts().history_pages), (1, 0));
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_signs_for_his_own_account_gives_a_minted_url_no_result() {
    let world = World::builder().user_id_unknown().start().await;
    let (id, url) = mint(&world, json!({})).await;

    let absent = "00000000-0000-4000-8000-000000000000";
    let body = testkit::ok_body(absent, br#"{"prompt":"a cuckoo"}"#);
    let answered = world.sim().post_callback(&url, &world.sim().sign(absent, &body), body).await;
    assert_eq!(answered.unwrap(), 200);
    let request = send(&world, "an owl", Some(&url)).await;
    let job = world.wait_ended_as(id, "succeeded").await;

    assert_eq!(job["request_id"], request.as_str());
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_whose_callbacks_are_all_lost_is_abandoned_and_its_request_can_still_be_adopted() {
    let world = World::start().await;
    world.sim().script_next(Script { faults: Some(Faults::only(Fault::CallbackAllLost)), ..Script::default() });
    let (id, url) = mint(&world, json!({})).await;
    let request = send(&world, "an owl", Some(&url)).await;
    world.sim().wait_until(|view| view.counts.completed == 1).await.unwrap();

    world.advance_clock(Duration::from_mins(181)).await;
    let job = world.wait_ended_as(id, "failed").await;
    assert_eq!((&job["error"]["class"], &job["request_id"]), (&json!("abandoned"), &Value::Null));

    let adopted = super::adopt(&world, &request).await.job_id();
    world.wait_ended_as(adopted, "succeeded").await;
    assert_ne!(adopted, id);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_after_the_url_expired_is_stored_and_paid_and_its_result_can_be_fetched() {
    let world = World::start().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let (id, url) = mint(&world, json!({ "expires_at": super::now(&world).await + Duration::from_secs(90) })).await;
    let request = send(&world, "an owl", Some(&url)).await;
    // Less than the five minutes after which a callback's stamp would be stale.
    world.advance_clock(Duration::from_mins(2)).await;
    world.wait_ended_as(id, "failed").await;

    world.sim().release_held();
    testkit::wait::until("the late charge", async || {
        let lines = ledger(&world, id).await;
        if lines == ["possible_charge", "superseded_charge"] { Ok(()) } else { Err(lines) }
    })
    .await;

    let job = world.job(id).await;
    assert_eq!((&job["state"], &job["request_id"]), (&json!("failed"), &json!(request)));
    let refetched = world.post(&format!("/v1/jobs/{id}/refetch"), &json!({})).await;
    assert_eq!((refetched.status, &refetched.json()["state"]), (202, &json!("succeeded")));
    let result: Value = serde_json::from_slice(&world.result(refetched.job_id()).await).unwrap();
    assert_eq!(result["prompt"], "an owl");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_ends_the_job_and_is_not_sent_again() {
    let world = World::start().await;
    let outcome = Some(simulator::Outcome::RunnerError("runner_disconnected".to_owned()));
    world.sim().script_next(Script { outcome, ..Script::default() });
    let (id, url) = mint(&world, json!({})).await;

    send(&world, "an owl", Some(&url)).await;
    let job = world.wait_ended_as(id, "failed").await;

    assert_eq!((&job["attempts_made"], &job["attempts_max"]), (&json!(1), &json!(1)));
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_of_an_unused_url_is_armed_and_giving_it_up_ends_it() {
    let world = World::start().await;
    let (id, _) = mint(&world, json!({})).await;

    assert_eq!(world.cancel(id).await.status, 202);
    assert_eq!(world.job(id).await["state"], "running", "fal may be running it");
    let resubmit = world.post(&format!("/v1/jobs/{id}/resolve"), &json!({ "action": "resubmit" })).await;
    assert_eq!((resubmit.status, problem(&resubmit)), (409, "nothing-to-resolve".to_owned()));
    let given_up = world.post(&format!("/v1/jobs/{id}/resolve"), &json!({ "action": "give_up" })).await;

    assert_eq!((given_up.status, &given_up.json()["state"]), (200, &json!("canceled")));
    assert_eq!(world.sim().submissions(), 0);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_shows_the_same_url_and_another_body_is_refused() {
    let world = World::start().await;
    let body = json!({ "model": super::MODEL }).to_string();
    let key = [("idempotency-key", "order-4711")];
    let mut urls = Vec::new();
    for round in 0..3 {
        let answer = world.call(Method::POST, "/v1/callback-urls", &key, body.clone()).await;
        assert_eq!(answer.header("idempotency-replayed"), if round == 0 { "" } else { "true" });
        urls.push((answer.job_id(), answer.json()["callback_url"].clone(), answer.json()["expires_at"].clone()));
    }
    assert!(urls.windows(2).all(|pair| pair[0] == pair[1]), "{urls:?}");

    let other = json!({ "model": super::MODEL, "tags": ["x"] }).to_string();
    for path in ["/v1/callback-urls", "/v1/jobs"] {
        let body =
            if path == "/v1/jobs" { json!({ "model": super::MODEL, "input": {} }).to_string() } else { other.clone() };
        let answer = world.call(Method::POST, path, &key, body).await;
        assert_eq!((answer.status, problem(&answer)), (422, "idempotency-key-reused".to_owned()), "{path}");
    }
    assert_eq!(count(&world, "jobs").await, 1);
    world.check().await;
}

async fn attempt_looks(world: &World, id: testkit::JobId) -> i32 {
    let query = "select looks from falconer.attempts where job_id = $1";
    sqlx::query_scalar(query).bind(id).fetch_one(world.db()).await.expect("it has one attempt")
}
