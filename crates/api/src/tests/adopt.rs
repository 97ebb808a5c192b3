//! What the routes of adoption refuse, each with its field. What they do is told in the stories.

use super::world::World;
use crate::router;
use axum::body::Body;
use http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use store::keys::Scopes;
use tower::ServiceExt as _;

const URLS: &str = "/v1/callback-urls";
const ADOPT: &str = "/v1/jobs/adopt";

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn every_broken_field_is_named_and_nothing_is_stored(pool: PgPool) {
    let world = World::start(&pool).await;
    let broken = [
        (URLS, "{}", "model"),
        (URLS, r#"{"model": "../x"}"#, "model"),
        (URLS, r#"{"model": "a/b", "input": {}}"#, "input"),
        (URLS, r#"{"model": "a/b", "request_id": "r-1"}"#, "request_id"),
        (URLS, r#"{"model": "a/b", "model": "a/c"}"#, "body"),
        (URLS, r#"{"model": "a/b", "tags": [""]}"#, "tags"),
        (URLS, r#"{"model": "a/b", "metadata": {"x": "\u0000"}}"#, "metadata"),
        (URLS, r#"{"model": "a/b", "expires_at": "soon"}"#, "expires_at"),
        (URLS, r#"{"model": "a/b", "expires_at": "2001-01-01T00:00:00Z"}"#, "expires_at"),
        (URLS, r#"{"model": "a/b", "expires_at": "2099-01-01T00:00:00Z"}"#, "expires_at"),
        (URLS, r#"{"model": "a/b", "expires_at": "2026-01-01T00:00:00Z", "expires_at": null}"#, "expires_at"),
        (URLS, r#"["a/b"]"#, "body"),
        (URLS, "{\"model\":", "body"),
        (ADOPT, r#"{"model": "a/b"}"#, "request_id"),
        (ADOPT, r#"{"model": "a/b", "request_id": 7}"#, "request_id"),
        (ADOPT, r#"{"model": "a/b", "request_id": "../../x"}"#, "request_id"),
        (ADOPT, r#"{"model": "a/b", "request_id": ""}"#, "request_id"),
        (ADOPT, r#"{"request_id": "r-1"}"#, "model"),
        (ADOPT, r#"{"model": "a/b", "request_id": "r-1", "priority": 1}"#, "priority"),
    ];
    for (path, body, field) in broken {
        let answer = world.post(path, body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::BAD_REQUEST, "invalid-request"), "{body}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}: {answer:?}");
    }
    assert_eq!((world.count("jobs").await, world.count("attempts").await), (0, 0));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn both_need_the_scope_to_submit(pool: PgPool) {
    let world = World::start(&pool).await;
    let reading = world.key_of("default", Scopes::new(["read".parse().unwrap()]), 2).await;
    for path in [URLS, ADOPT] {
        let answer = world.send_as(&reading, "POST", path, &[], Body::from("{}")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::FORBIDDEN, "insufficient-scope"), "{path}");
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn where_fal_cannot_call_no_url_is_minted(pool: PgPool) {
    let mut world = World::start(&pool).await;
    world.state.adopt.callback_base = None;
    let request = http::Request::post(URLS)
        .header("authorization", format!("Bearer {}", world.key))
        .header("content-type", "application/json")
        .body(Body::from(json!({ "model": "a/b" }).to_string()))
        .unwrap();
    let answer = router(world.state.clone()).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    assert_eq!(world.count("jobs").await, 0);
}
