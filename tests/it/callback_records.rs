//! Callbacks that were kept or rejected can be listed, shown, checked again and processed again; and whom fal signs for is
//! learnt.

use reqwest::Method;
use serde_json::json;
use simulator::{Fault, Faults, Script};
use testkit::{World, ok_body, wait};

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_callback_can_be_shown_checked_and_processed_again() {
    let world = World::start().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
    let request = world.sent("an owl").await;
    let body = ok_body(&request.request_id, br#"{"seed": 1}"#);
    assert_eq!(world.forge_stale(&request, body.clone()).await, 200);

    let listed = world.callbacks("disposition=kept&cause=stale_stamp").await;
    let callback = listed[0]["id"].as_str().unwrap();
    let shown = world.get(&format!("/v1/callbacks/{callback}")).await.json();
    let raw = world.get(&format!("/v1/callbacks/{callback}/raw")).await;
    let checked = world.post(&format!("/v1/callbacks/{callback}/verify"), &json!(null)).await.json();
    assert_eq!(shown, listed[0]);
    assert_eq!(shown["job_id"], id.to_string());
    assert_eq!(raw.body, body);
    assert_eq!(checked["genuine"], true, "{checked:#}");
    assert_eq!(world.job(id).await["state"], "running");

    let again = world.call(Method::POST, &format!("/v1/callbacks/{callback}/reprocess"), &[], "").await;

    assert_eq!((again.status, again.json()["disposition"].as_str()), (200, Some("applied")));
    world.wait_ended_as(id, "succeeded").await;
    assert_eq!(world.result(id).await, r#"{"seed": 1}"#);
    assert_eq!(world.callbacks("disposition=kept").await.len(), 0);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tampered_callback_stays_refused_when_it_is_processed_again() {
    let world = World::builder().faults(Faults::only(Fault::CallbackTampered)).start().await;
    let id = world.submit_prompt("an owl").await;
    world.wait_ended_as(id, "succeeded").await;
    let rejected = wait::until("the rejected call to be kept", async || {
        world.callbacks("disposition=rejected").await.pop().ok_or("none")
    })
    .await;
    let callback = rejected["id"].as_str().unwrap();
    let result = world.result(id).await;

    let checked = world.post(&format!("/v1/callbacks/{callback}/verify"), &json!(null)).await.json();
    let again = world.call(Method::POST, &format!("/v1/callbacks/{callback}/reprocess"), &[], "").await;

    assert_eq!((checked["genuine"].as_bool(), checked["checks"]["signature"].as_bool()), (Some(false), Some(false)));
    assert_eq!((again.status, again.json()["type"].as_str()), (409, Some("/errors/callback-not-genuine")));
    assert_eq!(world.result(id).await, result);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_fal_signs_for_is_learnt_from_three_callbacks_that_agree() {
    let world = World::builder().user_id_unknown().start().await;
    let pinned = async || {
        let query = "select user_id from falconer.credentials";
        sqlx::query_scalar::<_, Option<String>>(query).fetch_one(world.db()).await.unwrap()
    };
    for witness in 0..3 {
        assert_eq!(pinned().await, None, "before witness {witness}");
        // The answer to the submit must be there first: only then is the callback a witness.
        world.sim().script_next(Script { hold: true, ..Script::default() });
        let id = world.submit_prompt(&format!("witness {witness}")).await;
        world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
        world.sim().release_held();
        world.wait_ended_as(id, "succeeded").await;
        world.sim().wait_until(|view| view.counts.webhooks_delivered == witness + 1).await.unwrap();
    }
    assert_eq!(pinned().await.as_deref(), Some(world.sim().user_id()));

    world.sim().set_faults(Faults::only(Fault::CallbackWrongUser));
    let id = world.submit_prompt("after the pin").await;
    world.wait_ended_as(id, "succeeded").await;

    assert_eq!(world.sent("after the pin").await.webhook_tries[0].status, Some(401));
    assert_eq!(world.callbacks("disposition=rejected&cause=wrong_user").await.len(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_user_id_is_unknown_a_callback_alone_binds_nothing_and_fal_is_asked() {
    let world = World::builder().user_id_unknown().faults(Faults::only(Fault::CallbackBeforeAnswer)).start().await;

    let id = world.submit_prompt("an owl").await;
    world.wait_ended_as(id, "succeeded").await;

    assert_eq!(world.callbacks("cause=user_unpinned").await.len(), 1);
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_of_an_attempt_that_is_not_there_is_kept() {
    let world = World::start().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
    let request = world.sent("an owl").await;
    // As after a restore of an older backup.
    for table in ["attempts", "transitions", "jobs", "request_bindings"] {
        let column = if table == "jobs" { "id" } else { "job_id" };
        let statement = format!("delete from falconer.{table} where {column} = '{id}'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(world.db()).await.unwrap();
    }

    assert_eq!(world.forge(&request, ok_body(&request.request_id, b"{}")).await, 200);

    let query = "select disposition || ' ' || cause from falconer.callbacks";
    let kept: Vec<String> = sqlx::query_scalar(query).fetch_all(world.db()).await.unwrap();
    assert_eq!(kept, ["kept unknown_attempt"]);
    world.leave_unchecked("rows were taken away on purpose");
}
