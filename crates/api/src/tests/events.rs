//! The feed over HTTP: what a page holds, whose cursor is taken, and who may read.

use super::world::{PROJECT, World};
use axum::body::Body;
use domain::AttemptEvent;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;
use store::keys::{NewKey, Payloads, Scopes};

const JOB: &str = r#"{"model":"fal-ai/flux/dev","input":{}}"#;
const RESULT: &str = "{\"images\": [ 1.0 ],\n \"n\": 17454220438242315174, \"m\": 1.10}";

/// Runs one job to its end.
async fn ended(world: &World, request_id: &str, result: &'static str) -> String {
    let id = world.submit(JOB).await;
    let claimed = world.bound(request_id).await;
    let event = AttemptEvent::ResultOk(domain::RequestId(request_id.to_owned()));
    world.told(&claimed, event, Some(result)).await;
    id
}

/// Asks until there is an event: transactions of other tests may hold it back for a moment.
async fn page(world: &World, query: &str) -> Value {
    let answer = world.get(&format!("/v1/events?wait=20s&{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

async fn acknowledged(world: &World, consumer: &str, cursor: &Value) -> super::world::Answer {
    world.post("/v1/events/ack", &json!({ "consumer": consumer, "cursor": cursor }).to_string()).await
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_event_holds_the_job_and_its_result_byte_for_byte(pool: PgPool) {
    let world = World::start(&pool).await;
    let id = ended(&world, "r-1", RESULT).await;
    page(&world, "consumer=web").await;

    let answer = world.get("/v1/events?consumer=web").await;

    let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
    assert!(text.contains(&format!("\"result\":{RESULT}")), "{text}");
    assert!(text.contains(&format!("\"result_bytes\":{}", RESULT.len())), "{text}");
    let job = String::from_utf8(world.get(&format!("/v1/jobs/{id}")).await.bytes.to_vec()).unwrap();
    assert!(text.contains(job.trim_end_matches('}')), "the data is the job: {text}");
    let event = text.split("\"items\":[{\"id\":\"").nth(1).unwrap().split('"').next().unwrap();
    let one = String::from_utf8(world.get(&format!("/v1/events/{event}")).await.bytes.to_vec()).unwrap();
    assert!(text.contains(&one), "{one}");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_large_result_is_a_link(pool: PgPool) {
    let world = World::start(&pool).await;
    let large = format!("\"{}\"", "x".repeat(65_535)).leak();
    let id = ended(&world, "r-1", large).await;
    let data = page(&world, "consumer=web").await["items"][0]["data"].take();
    assert_eq!((&data["result"], &data["result_bytes"]), (&Value::Null, &json!(65_537)));
    assert_eq!(data["links"]["result"], json!(format!("/v1/jobs/{id}/result")));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_result_that_readers_of_json_refuse_does_not_spoil_the_page(pool: PgPool) {
    let world = World::start(&pool).await;
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500)).leak();
    for (n, result) in [r#"{"n":1e999999}"#, r#"["\ud800"]"#, deep, "[]"].into_iter().enumerate() {
        ended(&world, &format!("r-{n}"), result).await;
        let page = page(&world, "consumer=web").await;
        let data = &page["items"][0]["data"];
        let told = if result == "[]" { json!([]) } else { Value::Null };
        assert_eq!((&data["result"], &data["result_bytes"]), (&told, &json!(result.len())));
        acknowledged(&world, "web", &page["cursor"]).await;
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_cursor_is_taken_from_its_own_reader_alone(pool: PgPool) {
    let world = World::start(&pool).await;
    ended(&world, "r-1", "{}").await;
    let own = page(&world, "consumer=web").await["cursor"].take();
    let of_other = page(&world, "consumer=other").await["cursor"].take();
    let of_nobody = page(&world, "limit=5").await["cursor"].take();
    for cursor in [&of_other, &of_nobody, &json!("AAAA"), &json!("\u{0}"), &json!(7)] {
        let refused = acknowledged(&world, "web", cursor).await;
        assert_eq!((refused.status, refused.problem().as_str()), (StatusCode::BAD_REQUEST, "invalid-request"));
        assert_eq!(refused.json()["errors"][0]["field"], "cursor", "{cursor}");
    }
    assert_eq!(acknowledged(&world, "nobody", &own).await.problem(), "consumer-not-found");
    let walked = world.get(&format!("/v1/events?cursor={}", of_nobody.as_str().unwrap())).await;
    assert_eq!(walked.json()["items"], json!([]));
    assert_eq!(acknowledged(&world, "web", &own).await.status, StatusCode::OK);
    assert_eq!(world.get("/v1/events?consumer=web").await.json()["items"], json!([]));
    assert_ne!(world.get("/v1/events?consumer=other").await.json()["items"], json!([]));
    world.send("DELETE", "/v1/consumers/web", &[], Body::empty()).await;
    world.get("/v1/events?consumer=web").await;
    let stale = acknowledged(&world, "web", &own).await;
    assert_eq!(stale.problem(), "invalid-request", "the one of that name is another");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn another_project_sees_and_moves_nothing(pool: PgPool) {
    let world = World::start(&pool).await;
    ended(&world, "r-1", "{}").await;
    let mine = page(&world, "consumer=web").await;
    let (event, cursor) = (mine["items"][0]["id"].as_str().unwrap(), mine["cursor"].as_str().unwrap());
    let stranger = world.key_of("other", Scopes::of_project(), 2).await;
    let get = async |path: &str| world.send_as(&stranger, "GET", path, &[], Body::empty()).await;

    let theirs = get("/v1/events?consumer=web").await.json();
    assert_eq!((&theirs["items"], &theirs["gap"]), (&json!([]), &Value::Null));
    let found = get(&format!("/v1/events/{event}")).await;
    let missing = get("/v1/events/00000000-0000-7000-8000-00000000dead").await;
    assert_eq!((found.status, found.problem().as_str()), (StatusCode::NOT_FOUND, "event-not-found"));
    assert_eq!(found.bytes, missing.bytes);
    assert_eq!(get(&format!("/v1/events?cursor={cursor}")).await.problem(), "invalid-request");
    let body = json!({ "consumer": "web", "cursor": cursor }).to_string();
    let refused = world.send_as(&stranger, "POST", "/v1/events/ack", &[], Body::from(body)).await;
    assert_eq!(refused.problem(), "invalid-request");
    let listed = get("/v1/consumers").await.json();
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["unread"]), (1, &json!(0)));
    let deleted = world.send_as(&stranger, "DELETE", "/v1/consumers/web", &[], Body::empty()).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "their own");
    assert_eq!(world.get("/v1/consumers").await.json()["items"][0]["unread"], 1, "mine is there");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn consumers_are_made_listed_and_forgotten(pool: PgPool) {
    let world = World::start(&pool).await;
    ended(&world, "r-1", "{}").await;
    page(&world, "limit=1").await;
    let made = world.post("/v1/consumers", r#"{"name":"late","from":"now"}"#).await;
    assert_eq!((made.status, &made.json()["name"]), (StatusCode::CREATED, &json!("late")));
    let again = world.post("/v1/consumers", r#"{"name":"late"}"#).await;
    assert_eq!((again.status, again.problem().as_str()), (StatusCode::CONFLICT, "consumer-exists"));
    assert_eq!(world.get("/v1/events?consumer=late").await.json()["items"], json!([]));
    world.get("/v1/events?consumer=early").await;
    let listed = world.get("/v1/consumers").await.json();
    let told: Vec<(&Value, &Value)> =
        listed["items"].as_array().unwrap().iter().map(|one| (&one["name"], &one["unread"])).collect();
    assert_eq!(told, [(&json!("early"), &json!(1)), (&json!("late"), &json!(0))]);
    let gone = world.send("DELETE", "/v1/consumers/late", &[], Body::empty()).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let missing = world.send("DELETE", "/v1/consumers/late", &[], Body::empty()).await;
    assert_eq!(missing.problem(), "consumer-not-found");
    for n in 0..99 {
        world.post("/v1/consumers", &json!({ "name": format!("c-{n}") }).to_string()).await;
    }
    assert_eq!(world.get("/v1/events?consumer=one-more").await.problem(), "too-many-consumers");
    assert_eq!(world.post("/v1/consumers", r#"{"name":"one-more"}"#).await.problem(), "too-many-consumers");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_was_dropped_unread_is_told_until_it_is_acknowledged(pool: PgPool) {
    let world = World::start(&pool).await;
    ended(&world, "r-1", "{}").await;
    page(&world, "consumer=web").await;
    let two_months = "update falconer.clock set ahead_by = interval '60 days'";
    sqlx::query(two_months).execute(&pool).await.unwrap();
    store::retention::drop_partitions(&world.store, &store::retention::Retention::default()).await.unwrap();

    for _ in 0..2 {
        let told = world.get("/v1/events?consumer=web").await.json();
        assert_eq!((&told["items"], &told["gap"]["missed"]), (&json!([]), &json!(1)));
        assert!(told["gap"]["dropped_at"].is_string(), "{told}");
    }
    let cursor = world.get("/v1/events?consumer=web").await.json()["cursor"].take();
    acknowledged(&world, "web", &cursor).await;
    assert_eq!(world.get("/v1/events?consumer=web").await.json()["gap"], Value::Null);
    assert_eq!(world.get("/v1/consumers").await.json()["items"][0]["missed"], 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn bad_questions_are_refused_by_name(pool: PgPool) {
    let world = World::start(&pool).await;
    for (query, field) in [
        ("consumer=", "consumer"),
        ("consumer=-x", "consumer"),
        ("consumer=a%20b", "consumer"),
        ("consumer=a&cursor=AAAA", "cursor"),
        ("cursor=AAAA", "cursor"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("wait=soon", "wait"),
        ("types=job.made", "types"),
        ("colour=red", "colour"),
    ] {
        let refused = world.get(&format!("/v1/events?{query}")).await;
        assert_eq!(refused.json()["errors"][0]["field"], field, "{query}");
    }
    for (path, body, field) in [
        ("/v1/events/ack", "{}", "consumer"),
        ("/v1/events/ack", r#"{"consumer":"web"}"#, "cursor"),
        ("/v1/events/ack", r#"{"consumer":"a/b","cursor":""}"#, "consumer"),
        ("/v1/events/ack", r#"{"consumer":"web","cursor":"","x":1}"#, "x"),
        ("/v1/events/ack", r#"{"consumer":"web","consumer":"web","cursor":""}"#, "consumer"),
        ("/v1/consumers", r#"{"name":""}"#, "name"),
        ("/v1/consumers", r#"{"name":"a\u0000b"}"#, "name"),
        ("/v1/consumers", r#"{"name":"web","from":"then"}"#, "from"),
        ("/v1/consumers", r#"{"name":"web","from":null}"#, "from"),
        ("/v1/consumers", "[", "body"),
    ] {
        let refused = world.post(path, body).await;
        assert_eq!(refused.json()["errors"][0]["field"], field, "{body}");
    }
    assert_eq!(world.count("consumers").await, 0);
    assert_eq!(world.get("/v1/events/no-id").await.problem(), "event-not-found");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn only_a_reading_key_gets_in_and_one_without_payloads_sees_none(pool: PgPool) {
    let world = World::start(&pool).await;
    ended(&world, "r-1", r#"{"secret":1}"#).await;
    page(&world, "limit=1").await;
    let submitting = world.key_of("default", Scopes::new(["submit".parse().unwrap()]), 3).await;
    for (method, path) in [
        ("GET", "/v1/events"),
        ("POST", "/v1/events/ack"),
        ("GET", "/v1/events/00000000-0000-7000-8000-00000000dead"),
        ("GET", "/v1/consumers"),
        ("POST", "/v1/consumers"),
        ("DELETE", "/v1/consumers/web"),
    ] {
        let answer = world.send_as(&submitting, method, path, &[], Body::empty()).await;
        assert_eq!(answer.problem(), "insufficient-scope", "{method} {path}");
    }
    let hidden = NewKey { payloads: Payloads::Hidden, ..NewKey::new(PROJECT, "blind", Scopes::of_project()) };
    let blind = world.key_like(&hidden, 4).await;
    let seen = world.send_as(&blind, "GET", "/v1/events?consumer=web", &[], Body::empty()).await;
    assert_eq!(seen.json()["items"][0]["data"]["result"], Value::Null);
    assert_eq!(seen.json()["items"][0]["data"]["metadata"], Value::Null);
    assert!(!String::from_utf8_lossy(&seen.bytes).contains("secret"), "{seen:?}");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_stop_ends_the_wait(pool: PgPool) {
    let world = World::start(&pool).await;
    world.state.stop.cancel();
    let began = std::time::Instant::now();
    let answer = world.get("/v1/events?consumer=web&wait=60s").await.json();
    assert_eq!(answer["items"], json!([]));
    assert!(answer["cursor"].is_string() && began.elapsed() < Duration::from_secs(30));
}
