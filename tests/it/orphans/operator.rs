//! A job that waits for a person, and what the person may say.

use super::{ledger, lost, state_of, wait_unknown};
use serde_json::{Value, json};
use simulator::{Fault, Faults, HistoryMode, Script};
use std::time::Duration;
use testkit::{Answer, JobId, World};

/// Neither history nor bills: only a callback and a person can tell.
async fn blind() -> World {
    World::builder().sim(|sim| (sim.history, sim.billing) = (HistoryMode::Off, HistoryMode::Off)).start().await
}

fn held() -> Script {
    Script { hold: true, faults: Some(Faults::only(Fault::AcceptThenReset)), ..Script::default() }
}

async fn unknown_job(world: &World, script: Script, policy: &str) -> JobId {
    world.sim().script_next(script);
    let id = world.submit(json!({ "on_unknown": policy, "input": { "prompt": "an owl" } })).await;
    wait_unknown(world, id).await;
    id
}

async fn resolve(world: &World, id: JobId, action: &str) -> Answer {
    world.post(&format!("/v1/jobs/{id}/resolve"), &json!({ "action": action })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_sent_again_by_a_person_takes_the_late_result_of_the_first_attempt() {
    let world = blind().await;
    let id = unknown_job(&world, held(), "operator").await;
    world.sim().script_next(Script { run_time: Some(Duration::from_mins(5)), ..Script::default() });

    let answer = resolve(&world, id, "resubmit").await;

    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    world.sim().wait_until(|view| view.counts.accepted == 2).await.unwrap();
    assert_eq!(state_of(&world, id, 1).await.0, "abandoned");
    let told = "select detail from falconer.transitions where job_id = $1 and event = 'given_up'";
    let told: String = sqlx::query_scalar(told).bind(id).fetch_one(world.db()).await.unwrap();
    assert!(told.starts_with("abandoned: an operator had the job sent again, by key "), "{told}");

    world.sim().release_held();
    let job = world.wait_ended_as(id, "succeeded").await;
    assert_eq!(job["request_id"], world.sim().requests()[0].request_id.as_str());
    world.sim().wait_until(|view| view.requests[1].canceled).await.unwrap();
    testkit::wait::until("the newer attempt to end", async || {
        let state = state_of(&world, id, 2).await.0;
        if state == "canceled" { Ok(()) } else { Err(state) }
    })
    .await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_sent_again_by_a_person_may_end_by_its_second_attempt() {
    let world = blind().await;
    let id = unknown_job(&world, held(), "operator").await;

    assert_eq!(resolve(&world, id, "resubmit").await.status, 200);
    let job = world.wait_ended_as(id, "succeeded").await;
    world.sim().release_held();
    testkit::wait::until("the late result to be noted", async || {
        let lines = ledger(&world, id).await;
        if lines == ["charge", "possible_charge", "superseded_charge"] { Ok(()) } else { Err(lines) }
    })
    .await;

    assert_eq!(world.job(id).await["request_id"], job["request_id"]);
    assert_eq!(world.sim().submissions(), 2);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_given_up_by_a_person_stays_failed_when_its_result_comes_late() {
    for policy in ["operator", "patient", "impatient"] {
        let world = blind().await;
        let id = if policy == "impatient" {
            // Its one further attempt is unknown too.
            world.sim().script_next(held());
            unknown_job_after(&world, policy).await
        } else {
            unknown_job(&world, held(), policy).await
        };

        let answer = resolve(&world, id, "give_up").await;

        let job = answer.json();
        assert_eq!((answer.status, &job["state"]), (200, &json!("failed")), "{policy}");
        assert_eq!((&job["error"]["class"], &job["error"]["charged"]), (&json!("abandoned"), &Value::Null));
        assert!(job["error"]["message"].as_str().unwrap().starts_with("an operator gave it up"), "{job}");

        world.sim().release_held();
        testkit::wait::until("the late result to be noted", async || {
            let lines = ledger(&world, id).await;
            if lines.contains(&"superseded_charge".to_owned()) { Ok(()) } else { Err(lines) }
        })
        .await;
        let after = world.job(id).await;
        assert_eq!((&after["state"], &after["finished_at"]), (&json!("failed"), &job["finished_at"]), "{policy}");
        world.drain_and_check().await;
    }
}

/// An impatient job whose second attempt is unknown as well.
async fn unknown_job_after(world: &World, policy: &str) -> JobId {
    world.sim().script_next(held());
    let id = world.submit(json!({ "on_unknown": policy })).await;
    world.sim().wait_until(|view| view.counts.accepted == 2).await.expect("fal takes both");
    testkit::wait::until("both to be unknown", async || {
        let query = "select count(*) from falconer.attempts where job_id = $1 and state = 'unknown'";
        let unknown: i64 =
            sqlx::query_scalar(query).bind(id).fetch_one(world.db()).await.expect("the database answers");
        if unknown == 2 { Ok(()) } else { Err(unknown) }
    })
    .await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_has_nothing_to_say_where_nothing_waits_and_hears_the_rule() {
    let world = blind().await;
    let rule = |answer: Answer, status: u16, slug: &str, words: &str| {
        let told = answer.json();
        assert_eq!((answer.status, &told["type"]), (status, &json!(format!("/errors/{slug}"))), "{told}");
        let told = told.to_string();
        assert!(told.contains(words), "{told} does not say {words:?}");
    };
    let patient = unknown_job(&world, held(), "patient").await;
    rule(resolve(&world, patient, "resubmit").await, 409, "nothing-to-resolve", "on_unknown `patient`");
    rule(resolve(&world, patient, "forget").await, 400, "invalid-request", "resubmit or give_up");
    let path = format!("/v1/jobs/{patient}/resolve");
    let twice = world.post(&path, &json!({ "action": "give_up", "why": "" })).await;
    rule(twice, 400, "invalid-request", "why");
    let stranger = format!("Bearer {}", world.stranger_key("another").await.unwrap());
    let body = json!({ "action": "give_up" }).to_string();
    let headers = [("authorization", stranger.as_str())];
    rule(world.call("POST".parse().unwrap(), &path, &headers, body).await, 404, "job-not-found", "not found");

    world.sim().script_next(Script { hold: true, ..Script::default() });
    let running = world.submit(json!({ "on_unknown": "operator" })).await;
    world.wait_job(running, "to be at fal", |job| job["request_id"].is_string()).await;
    rule(resolve(&world, running, "resubmit").await, 409, "nothing-to-resolve", "whose attempt is unknown");

    let last = unknown_with_one_attempt(&world).await;
    rule(resolve(&world, last, "resubmit").await, 409, "nothing-to-resolve", "attempts are used up");

    world.sim().release_held();
    for id in [patient, running, last] {
        world.wait_ended_as(id, "succeeded").await;
    }
    rule(resolve(&world, running, "give_up").await, 409, "job-terminal", "");
    world.drain_and_check().await;
}

async fn unknown_with_one_attempt(world: &World) -> JobId {
    world.sim().script_next(held());
    let id = world.submit(json!({ "on_unknown": "operator", "max_attempts": 1 })).await;
    wait_unknown(world, id).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_wait_longer_than_any_deadline() {
    let world = blind().await;
    let id = unknown_job(&world, lost(), "operator").await;
    world.advance_clock(Duration::from_hours(30)).await;

    assert_eq!(resolve(&world, id, "resubmit").await.status, 200);
    world.wait_ended_as(id, "succeeded").await;
    assert_eq!(world.sim().submissions(), 2);
    world.drain_and_check().await;
}
