//! What the API refuses: input that breaks a rule, and callers who have no business.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::World;

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_answered_with_the_field_and_its_rule() {
    let world = World::start().await;
    let with = |more: Value| {
        let mut job = json!({ "model": "fal-ai/flux/schnell", "input": { "prompt": "x" } });
        for (name, value) in more.as_object().unwrap() {
            job[name] = value.clone();
        }
        job.to_string()
    };
    let table = [
        ("nothing".to_owned(), "body"),
        ("[]".to_owned(), "body"),
        ("{}".to_owned(), "model"),
        (r#"{"model": "fal-ai/flux"}"#.to_owned(), "input"),
        (r#"{"model": "a/b", "model": "a/c", "input": {}}"#.to_owned(), "body"),
        (with(json!({ "model": "../admin" })), "model"),
        (with(json!({ "model": "https://evil.example/x" })), "model"),
        (with(json!({ "model": 7 })), "model"),
        (with(json!({ "input": [] })), "input"),
        (with(json!({ "input": null })), "input"),
        (with(json!({ "priority": 11 })), "priority"),
        (with(json!({ "priority": "high" })), "priority"),
        (with(json!({ "run_at": "tomorrow" })), "run_at"),
        (with(json!({ "useful_until": 5 })), "useful_until"),
        (with(json!({ "max_attempts": 0 })), "max_attempts"),
        (with(json!({ "tags": ["a\u{0}"] })), "tags"),
        (with(json!({ "metadata": { "a": "\u{0}" } })), "metadata"),
        (with(json!({ "metadata": [] })), "metadata"),
        (with(json!({ "on_unknown": "guess" })), "on_unknown"),
        (with(json!({ "unique": { "key": "", "for": "1m" } })), "unique.key"),
        (with(json!({ "unique": { "key": "k", "for": "never" } })), "unique.for"),
        (with(json!({ "state": "succeeded" })), "state"),
        (with(json!({ "cache": "use" })), "cache"),
    ];

    for (body, field) in table {
        let answer = world.call(Method::POST, "/v1/jobs", &[], body.clone()).await;
        let problem = answer.json();
        assert_eq!(answer.status, 400, "{body}: {problem}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{body}");
        assert_eq!(problem["type"], "/errors/invalid-request", "{body}");
        assert_eq!(problem["errors"][0]["field"], field, "{body}: {problem}");
        assert!(problem["errors"][0]["rule"].as_str().is_some_and(|rule| rule.len() > 8), "{body}: {problem}");
    }
    assert_eq!(world.get("/v1/jobs").await.json()["items"], json!([]));
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_projects_job_is_no_job_and_without_a_key_nothing_is() {
    let world = World::start().await;
    let id = world.submit_prompt("an owl").await;
    world.wait_ended_as(id, "succeeded").await;
    let stranger = format!("Bearer {}", world.stranger_key("strangers").await.unwrap());
    let routes = [
        (Method::GET, format!("/v1/jobs/{id}")),
        (Method::GET, format!("/v1/jobs/{id}/result")),
        (Method::GET, format!("/v1/jobs/{id}/timeline")),
        (Method::GET, format!("/v1/jobs/{id}/wait?timeout=1s")),
        (Method::POST, format!("/v1/jobs/{id}/cancel")),
        (Method::POST, format!("/v1/jobs/{id}/refetch")),
        (Method::POST, format!("/v1/jobs/{id}/regenerate")),
    ];

    for (method, path) in routes {
        let foreign = world.call(method.clone(), &path, &[("authorization", &stranger)], "{}").await;
        let missing_path = path.replace(&id.to_string(), "01900000-0000-7000-8000-000000000000");
        let missing = world.call(method.clone(), &missing_path, &[("authorization", &stranger)], "{}").await;
        assert_eq!((foreign.status, &foreign.body), (404, &missing.body), "{method} {path}");
        let keyless = world.call(method.clone(), &path, &[("authorization", "Bearer nonsense")], "{}").await;
        assert_eq!(keyless.status, 401, "{method} {path}");
    }
    let list = world.call(Method::GET, "/v1/jobs", &[("authorization", &stranger)], "").await;
    assert_eq!(list.json()["items"], json!([]));
    world.drain_and_check().await;
}
