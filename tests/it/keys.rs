//! API keys across processes, and on the command line.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::{World, wait};

/// What is promised of a key that was revoked, has ended, or may do less.
const CUT_OFF_WITHIN: Duration = Duration::from_secs(5);

async fn as_key(world: &World, server: usize, key: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
    let bearer = format!("Bearer {key}");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let sent = world.try_call(server, method, path, &[("authorization", &bearer)], body.into()).await;
    let answer = sent.unwrap_or_else(|error| panic!("{path}: {error}"));
    (answer.status, answer.json())
}

async fn make(world: &World, admin: &str, name: &str) -> (String, String) {
    let (status, made) = as_key(world, 0, admin, Method::POST, "/v1/keys", json!({ "name": name })).await;
    assert_eq!(status, 201, "{made}");
    (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

/// How long after `since` the server still lets the key through.
async fn refused_after(world: &World, server: usize, key: &str, since: Instant) -> Duration {
    wait::until("the key to be refused", async || {
        let (status, _) = as_key(world, server, key, Method::GET, "/v1/jobs", Value::Null).await;
        if status == 200 { Err(status) } else { Ok(since.elapsed()) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_may_no_longer_do_it_can_do_in_no_process_after_five_seconds() {
    let mut world = World::start().await;
    let second = world.second_server().await;
    let admin = world.operator_key().await;
    let (revoked_id, revoked) = make(&world, &admin, "revoked").await;
    let (ended_id, ended) = make(&world, &admin, "ended").await;
    let (lowered_id, lowered) = make(&world, &admin, "lowered").await;
    for server in [0, second] {
        for key in [&revoked, &ended, &lowered] {
            assert_eq!(as_key(&world, server, key, Method::GET, "/v1/jobs", Value::Null).await.0, 200);
        }
    }

    let since = Instant::now();
    let path = format!("/v1/keys/{revoked_id}/revoke");
    assert_eq!(as_key(&world, 0, &admin, Method::POST, &path, Value::Null).await.0, 200);
    let path = format!("/v1/keys/{ended_id}/rotate");
    let (_, successor) = as_key(&world, 0, &admin, Method::POST, &path, json!({"grace": "0s"})).await;
    // No route lowers a key; an operator may.
    let lower = "update falconer.api_keys set scopes = '{submit}' where id = $1::uuid";
    sqlx::query(lower).bind(&lowered_id).execute(world.db()).await.unwrap();

    for server in [0, second] {
        for key in [&revoked, &ended, &lowered] {
            let after = refused_after(&world, server, key, since).await;
            assert!(after < CUT_OFF_WITHIN, "process {server} let a key through for {after:?}");
        }
    }
    let successor = successor["secret"].as_str().unwrap();
    assert_eq!(as_key(&world, second, successor, Method::GET, "/v1/jobs", Value::Null).await.0, 200);
    for server in world.servers() {
        for secret in [&revoked, &ended, &lowered, successor] {
            assert!(!server.log().contains(&secret[10..]), "a secret is in a log");
        }
    }
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_within_five_seconds_of_its_key() {
    let mut world = World::start().await;
    let second = world.second_server().await;
    let admin = world.operator_key().await;
    let (id, key) = make(&world, &admin, "watcher").await;
    let job = world.submit(json!({"run_at": "2099-01-01T00:00:00Z"})).await;
    // Read once, so that the second process believes the key also where the stream begins after the revocation.
    assert_eq!(as_key(&world, second, &key, Method::GET, "/v1/jobs", Value::Null).await.0, 200);

    let bearer = format!("Bearer {key}");
    let (path, headers) = (format!("/v1/jobs/{job}/stream"), [("authorization", bearer.as_str())]);
    let revoke = async {
        let path = format!("/v1/keys/{id}/revoke");
        assert_eq!(as_key(&world, 0, &admin, Method::POST, &path, Value::Null).await.0, 200);
        Instant::now()
    };
    let watch = async {
        let told = world.try_call(second, Method::GET, &path, &headers, bytes::Bytes::new()).await.unwrap();
        (told, Instant::now())
    };
    let (revoked_at, (told, ended_at)) = tokio::join!(revoke, watch);

    let body = String::from_utf8_lossy(&told.body).into_owned();
    assert!(told.status == 200 && body.contains("event: job"), "{} {body}", told.status);
    let after = ended_at.saturating_duration_since(revoked_at);
    assert!(after < CUT_OFF_WITHIN, "the stream went on for {after:?}");
    world.cancel(job).await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_rotates_and_revokes_and_the_log_tells() {
    let world = World::start().await;
    let run = async |args: &[&str]| {
        let ran = world.server().database_command(args).await.expect("the command runs");
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap())
    };
    let (code, made, told) = run(&["keys", "create", "--project", "acme", "--scope", "read", "--hide-payloads"]).await;
    let secret = made.strip_suffix('\n').unwrap();
    assert!(code == Some(0) && secret.starts_with("flc_") && !secret.contains(char::is_whitespace), "{made} {told}");
    let (_, listed, _) = run(&["keys", "list", "--project", "acme", "-o", "json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let id = listed["items"][0]["id"].as_str().unwrap();
    assert_eq!((&listed["items"][0]["payloads"], &listed["items"][0]["state"]), (&json!("hidden"), &json!("live")));

    let (_, rotated, _) = run(&["keys", "rotate", id, "--grace", "1h", "-o", "json"]).await;
    let rotated: Value = serde_json::from_str(&rotated).unwrap();
    assert_eq!(rotated["project"], "acme", "as the API answers it");
    let successor = rotated["secret"].as_str().unwrap();
    for key in [secret, successor] {
        assert_eq!(as_key(&world, 0, key, Method::GET, "/v1/jobs", Value::Null).await.0, 200, "both count");
    }
    let (code, _, told) = run(&["keys", "rotate", id]).await;
    assert!(code == Some(4) && told.contains("successor"), "{code:?} {told}");
    let (code, revoked, _) = run(&["keys", "revoke", id, "-o", "json"]).await;
    let revoked: Value = serde_json::from_str(&revoked).unwrap();
    assert_eq!((code, &revoked["id"], &revoked["state"]), (Some(0), &json!(id), &json!("revoked")));
    assert_eq!(run(&["keys", "show", "01990000-0000-7000-8000-00000000dead"]).await.0, Some(3));
    let (_, shown, _) = run(&["projects", "show", "acme", "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["name"], "acme");
    assert_eq!(run(&["projects", "create", "acme"]).await.0, Some(4));

    let (_, log, _) = run(&["audit", "list", "--project", "acme", "-o", "jsonl"]).await;
    let log: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<&str> = log.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["key.revoked", "key.rotated", "key.created", "project.created"]);
    assert!(log.iter().all(|entry| entry["actor"]["os_user"].as_str().is_some_and(|user| !user.is_empty())), "{log:?}");
    assert!(!format!("{log:?}").contains(&secret[10..]));
    world.drain_and_check().await;
}
