//! Many jobs in one call.

use super::world::World;
use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

const JOB: &str = r#"{"model":"fal-ai/flux/dev","input":{"prompt":"a lighthouse"}}"#;

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_batch_answers_each_line_for_itself(pool: PgPool) {
    let world = World::start(&pool).await;
    let ndjson = format!("{JOB}\n\n{{\"model\":\"x\"}}\r\n{JOB}");
    let array = format!(" [{JOB}, {{\"model\":\"x\"}}, {JOB}]");
    for (kind, body) in [("application/x-ndjson", ndjson), ("application/json", array)] {
        let answer = world.send("POST", "/v1/jobs/batch", &[("content-type", kind)], Body::from(body)).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["content-type"], "application/x-ndjson");
        let lines: Vec<Value> = std::str::from_utf8(&answer.bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let indexes: Vec<&Value> = lines.iter().map(|line| &line["index"]).collect();
        assert_eq!(indexes, [0, 1, 2]);
        assert_eq!((&lines[0]["job"]["state"], &lines[2]["job"]["state"]), (&json!("queued"), &json!("queued")));
        assert_eq!(lines[1]["problem"]["status"], 400);
    }
    assert_eq!(world.count("jobs").await, 4);
    assert_eq!(world.post("/v1/jobs/batch", "[1").await.problem(), "invalid-request");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_batch_is_bounded_and_repeats_make_nothing_twice(pool: PgPool) {
    let world = World::start(&pool).await;
    let many = format!("[1{}]", ",1".repeat(world.state.limits.batch_jobs_max));
    assert_eq!(world.post("/v1/jobs/batch", &many).await.problem(), "invalid-request");
    let body = format!("{JOB}\n").repeat(600);
    for _ in 0..2 {
        let headers = [("idempotency-key", "batch-1"), ("content-type", "application/x-ndjson")];
        let answer = world.send("POST", "/v1/jobs/batch", &headers, Body::from(body.clone())).await;
        assert_eq!(std::str::from_utf8(&answer.bytes).unwrap().lines().count(), 600);
    }
    assert_eq!(world.count("jobs").await, 600);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_line_that_is_no_job_is_answered_in_its_place_and_a_batch_says_what_it_is(pool: PgPool) {
    let world = World::start(&pool).await;
    let long = "x".repeat(world.state.limits.body_bytes_max + 1);
    let lines: [&[u8]; 8] = [
        b"\xff{\n",
        br#"{"model":"a/b","input":{},"tags":["\u0000"]}"#,
        b"\n",
        JOB.as_bytes(),
        b"\n\r\n",
        long.as_bytes(),
        b"\n[1]\n",
        JOB.as_bytes(),
    ];
    let lines = lines.concat();
    let answer = world.send("POST", "/v1/jobs/batch", &[("content-type", "application/x-ndjson")], lines.into()).await;
    let lines: Vec<Value> =
        std::str::from_utf8(&answer.bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<&Value> = lines.iter().map(|line| &line["problem"]["status"]).collect();
    assert_eq!(statuses, [&json!(400), &json!(400), &Value::Null, &json!(413), &json!(400), &Value::Null]);
    assert_eq!(lines[1]["problem"]["errors"][0]["field"], "tags");
    assert_eq!(world.count("jobs").await, 2);

    for headers in [("content-type", "text/plain"), ("content-encoding", "gzip")] {
        let refused = world.send("POST", "/v1/jobs/batch", &[headers], Body::from(JOB)).await;
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (415, "unsupported-media-type"));
    }
    let lines_as_array = world.send("POST", "/v1/jobs/batch", &[], Body::from(JOB)).await;
    assert_eq!(lines_as_array.json()["errors"][0]["field"], "body");
    assert_eq!(world.count("jobs").await, 2);
}
