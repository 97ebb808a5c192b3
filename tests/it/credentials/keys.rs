//! Keys: handed in once, used within seconds, and told to nobody.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use super::*;
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_is_used_within_five_seconds_by_two_processes() {
    let mut world = two_accounts(10).start().await;
    let second = world.second_server().await;
    let studio = Studio::set_up(&world, 10).await;
    let first = studio.submit(&world, "before").await;
    studio.wait_succeeded(&world, first).await;
    assert_eq!(world.sent("before").await.key_id, "studio-id");

    let rotated = Instant::now();
    let answer = studio.change(&world, "rotate", &json!({ "key": STUDIO_NEW_KEY })).await;
    assert_eq!(answer["key_hint"], "9e0f");
    let round = AtomicU32::new(0);
    wait::until("both processes to send with the new key", async || {
        let round = round.fetch_add(1, Ordering::Relaxed);
        let senders = senders_of_new_key(&world, &studio, &[0, second], round).await;
        if senders == 2 { Ok(()) } else { Err(senders) }
    })
    .await;

    assert!(rotated.elapsed() < Duration::from_secs(5), "{:?}", rotated.elapsed());
    world.sim().set_keys(STUDIO, &[STUDIO_NEW_KEY]);
    let last = studio.submit(&world, "after").await;
    studio.wait_succeeded(&world, last).await;
    assert_eq!(world.sent("after").await.key_id, "studio-new-id");
    world.drain_and_check().await;
}

/// Hands a job to each process, and says how many processes have sent one with the new key in this round.
async fn senders_of_new_key(world: &World, studio: &Studio, servers: &[usize], round: u32) -> i64 {
    let mut ids = Vec::new();
    for server in servers {
        let prompt = format!("round {round} by {server}");
        let body = json!({ "model": "fal-ai/flux/schnell", "input": { "prompt": prompt } });
        let bearer = format!("Bearer {}", studio.key);
        let headers = [("authorization", bearer.as_str())];
        let answer =
            world.try_call(*server, Method::POST, "/v1/jobs", &headers, body.to_string().into()).await.unwrap();
        ids.push(answer.job_id());
    }
    for id in &ids {
        studio.wait_succeeded(world, *id).await;
    }
    let of_round = format!("round {round} by");
    let renewed: Vec<String> = requests_of(world, STUDIO)
        .into_iter()
        .filter(|request| {
            String::from_utf8_lossy(&request.input).contains(&of_round) && request.key_id == "studio-new-id"
        })
        .map(|request| request.request_id)
        .collect();
    sqlx::query_scalar("select count(distinct lease_owner) from falconer.attempts where request_id = any($1)")
        .bind(renewed)
        .fetch_one(world.db())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_and_no_row_holds_a_key_and_a_stranger_sees_no_credential() {
    let world = two_accounts(5).start().await;
    let studio = Studio::set_up(&world, 5).await;
    let path = format!("/v1/credentials/{}", studio.id);

    let own = call(&world, &studio.key, Method::GET, &path, &Value::Null).await;
    assert_eq!((own.status, &own.json()["key_hint"]), (200, &json!("f4b7")));
    let listed = call(&world, &studio.admin, Method::GET, "/v1/credentials", &Value::Null).await;
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 2);
    for answer in [&own, &listed] {
        assert!(!String::from_utf8_lossy(&answer.body).contains("studio-secret"));
    }

    let foreign = world.get(&path).await;
    let missing = world.get(&format!("/v1/credentials/{}", store::fresh_id())).await;
    assert_eq!((foreign.status, &foreign.body), (404, &missing.body));
    assert_eq!(world.get("/v1/credentials").await.json()["items"], json!([]));
    let body = json!({ "key": STUDIO_NEW_KEY });
    assert_eq!(call(&world, &studio.key, Method::POST, &format!("{path}/rotate"), &body).await.status, 403);

    let sealed: Vec<u8> =
        sqlx::query_scalar("select sealed_key from falconer.credentials where sealed_key is not null")
            .fetch_one(world.db())
            .await
            .unwrap();
    let plain = STUDIO_KEY.as_bytes();
    assert!(!plain.windows(6).any(|part| sealed.windows(6).any(|bytes| bytes == part)));
    // The tables and the logs are searched for both keys and their secret halves.
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_key_is_refused_by_rule_and_is_not_repeated() {
    let world = two_accounts(5).start().await;
    let admin = world.operator_key().await;
    for (key, rule) in [
        (json!("no-colon-here-0123456789abcdef"), "must look like"),
        (json!("id:short-canary"), "must look like"),
        (json!("id:0123456789abcdef-canary\r\nX-Evil: 1"), "must consist of visible ASCII"),
        (json!(["id:0123456789abcdef-canary"]), "must be a string"),
    ] {
        let body = json!({ "name": "bad", "key": key });
        let answer = call(&world, &admin, Method::POST, "/v1/credentials", &body).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 400, "{text}");
        assert_eq!(answer.json()["errors"][0]["field"], "key", "{text}");
        assert!(text.contains(rule) && !text.contains("canary"), "{text}");
    }
    let rows: i64 =
        sqlx::query_scalar("select count(*) from falconer.credentials").fetch_one(world.db()).await.unwrap();
    assert_eq!(rows, 1);
    world.check().await;
}
