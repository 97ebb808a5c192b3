//! The life of a job as its caller sees it.

use super::world::World;
use axum::body::Body;
use domain::{AttemptEvent, Charged, ErrorClass, Failure, RequestId};
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

const JOB: &str = r#"{"model":"fal-ai/flux/dev","input":{"prompt":"a lighthouse"}}"#;

fn request(id: &str) -> RequestId {
    RequestId(id.to_owned())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_job_reads_as_the_contract_says(pool: PgPool) {
    let world = World::start(&pool).await;
    let body = r#"{"model":"fal-ai/flux/dev","input":{},"priority":3,"tags":["red"],"metadata":{"n":1}}"#;
    let accepted = world.post("/v1/jobs", body).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    let job = accepted.json();
    let names: Vec<&String> = job.as_object().unwrap().keys().collect();
    let mut contract = vec![
        "id",
        "state",
        "model",
        "tier",
        "priority",
        "tags",
        "metadata",
        "attempts_made",
        "attempts_max",
        "request_id",
        "cached",
        "created_at",
        "run_at",
        "started_at",
        "finished_at",
        "error",
        "waiting",
        "cost",
        "links",
    ];
    contract.sort_unstable();
    assert_eq!(names, contract);
    assert_eq!(job["waiting"]["reason"], "slots");
    assert_eq!(job["cost"], json!({"currency": "USD", "estimated": null, "reserved": "0", "charged": "0"}));
    assert_eq!((&job["tier"], &job["cached"], &job["metadata"]), (&Value::Null, &json!(false), &json!({"n": 1})));
    assert!(job["created_at"].as_str().unwrap().ends_with('Z'));
    let own = job["links"]["self"].as_str().unwrap();
    assert_eq!(world.get(own).await.json(), job);
    assert_eq!(world.get("/v1/jobs?tag=red").await.json()["items"], json!([job]));
    assert_eq!(world.get("/v1/jobs?tag=blue").await.json(), json!({"items": [], "next_cursor": null}));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_key_makes_one_job_of_many_requests(pool: PgPool) {
    let world = World::start(&pool).await;
    let send = async |path: &str, body: &str, headers: &[(&str, &str)]| {
        world.send("POST", path, headers, Body::from(body.to_owned())).await
    };
    let key = [("idempotency-key", "k-1")];
    let first = send("/v1/jobs", JOB, &key).await;
    assert!(!first.headers.contains_key("idempotency-replayed"));
    let again = send("/v1/jobs", JOB, &key).await;
    assert_eq!(
        (again.status, &again.headers["idempotency-replayed"]),
        (StatusCode::ACCEPTED, &"true".parse().unwrap())
    );
    assert_eq!(first.json()["id"], again.json()["id"]);
    let other = send("/v1/jobs", r#"{"model":"fal-ai/flux/dev","input":{}}"#, &key).await;
    assert_eq!((other.status.as_u16(), other.problem().as_str()), (422, "idempotency-key-reused"));

    let claimed = world.bound("r-1").await;
    let refused = Failure { class: ErrorClass::ContentPolicy, charged: Charged::No };
    world.told(&claimed, AttemptEvent::ResultError(request("r-1"), refused), None).await;
    assert_eq!(send("/v1/jobs", JOB, &key).await.json()["state"], "failed", "the job as it is now");
    let reset = send("/v1/jobs", JOB, &[key[0], ("idempotency-reset", "failed")]).await;
    assert_ne!(reset.json()["id"], first.json()["id"]);
    for headers in [[("idempotency-key", ""), key[0]], [key[0], ("idempotency-reset", "all")]] {
        assert_eq!(send("/v1/jobs", JOB, &headers).await.problem(), "invalid-request");
    }
    assert_eq!(world.count("jobs").await, 2);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_unique_job_is_answered_with_the_one_that_is_there(pool: PgPool) {
    let world = World::start(&pool).await;
    let body = r#"{"model":"fal-ai/flux/dev","input":{},"unique":{"key":"u","for":"1h"}}"#;
    let first = world.submit(body).await;
    let again = world.post("/v1/jobs", body).await;
    assert_eq!((again.status, again.json()["id"].as_str()), (StatusCode::ACCEPTED, Some(first.as_str())));
    assert_eq!(again.headers["unique-conflict"], "true");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_result_is_given_byte_for_byte_or_its_lack_is_named(pool: PgPool) {
    let world = World::start(&pool).await;
    let id = world.submit(JOB).await;
    let result = format!("/v1/jobs/{id}/result");
    let open = world.get(&result).await;
    assert_eq!((open.status, open.problem().as_str()), (StatusCode::CONFLICT, "job-open"));
    let claimed = world.bound("r-1").await;
    world.told(&claimed, AttemptEvent::ResultOk(request("r-1")), Some("{\"n\": 1.0 ,\"big\":1e400}")).await;
    let good = world.get(&result).await;
    assert_eq!((good.status, &good.bytes[..]), (StatusCode::OK, &b"{\"n\": 1.0 ,\"big\":1e400}"[..]));
    assert_eq!(good.headers["content-type"], "application/json");
    let late = world.post(&format!("/v1/jobs/{id}/cancel"), "").await;
    assert_eq!((late.status, late.problem().as_str()), (StatusCode::CONFLICT, "job-terminal"));

    let id = world.submit(JOB).await;
    let claimed = world.bound("r-2").await;
    let refused = Failure { class: ErrorClass::ContentPolicy, charged: Charged::No };
    world.told(&claimed, AttemptEvent::ResultError(request("r-2"), refused), None).await;
    let failed = world.get(&format!("/v1/jobs/{id}/result")).await;
    assert_eq!((failed.status.as_u16(), failed.problem().as_str()), (422, "job-failed"));
    assert_eq!(failed.json()["error"], json!({"class": "content_policy", "message": null, "charged": false}));

    let id = world.submit(JOB).await;
    let canceled = world.post(&format!("/v1/jobs/{id}/cancel"), "").await;
    assert_eq!((canceled.status, &canceled.json()["state"]), (StatusCode::ACCEPTED, &json!("canceled")));
    let canceled = world.get(&format!("/v1/jobs/{id}/result")).await;
    assert_eq!((canceled.status, canceled.problem().as_str()), (StatusCode::GONE, "job-canceled"));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_wait_ends_with_the_job_or_the_process(pool: PgPool) {
    let world = World::start(&pool).await;
    let id = world.submit(JOB).await;
    let claimed = world.bound("r-1").await;
    let wait = format!("/v1/jobs/{id}/wait?timeout=60s");
    let (answer, ()) =
        tokio::join!(world.get(&wait), world.told(&claimed, AttemptEvent::ResultOk(request("r-1")), Some("{}")));
    assert_eq!(answer.json()["state"], "succeeded");

    let id = world.submit(JOB).await;
    world.state.stop.cancel();
    let answer = world.get(&format!("/v1/jobs/{id}/wait?timeout=60s")).await;
    assert_eq!((answer.status, &answer.json()["state"]), (StatusCode::OK, &json!("queued")));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_timeline_begins_with_the_accept(pool: PgPool) {
    let world = World::start(&pool).await;
    let id = world.submit(JOB).await;
    world.bound("r-1").await;
    let items = world.get(&format!("/v1/jobs/{id}/timeline")).await.json()["items"].clone();
    assert_eq!(items[0]["event"], "accepted");
    let last = items.as_array().unwrap().last().unwrap();
    assert_eq!((&last["kind"], &last["attempt"], &last["to"]), (&json!("attempt"), &json!(1), &json!("submitted")));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_list_is_walked_by_its_cursors(pool: PgPool) {
    let world = World::start(&pool).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.insert(0, world.submit(JOB).await);
    }
    let (mut found, mut path) = (Vec::new(), "/v1/jobs?limit=2".to_owned());
    loop {
        let page = world.get(&path).await.json();
        found.extend(page["items"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/jobs?limit=2&cursor={cursor}");
    }
    assert_eq!(found, ids);
    world.bound("r-7").await;
    let by_fals_name = world.get("/v1/jobs?request_id=r-7").await.json();
    assert_eq!(by_fals_name["items"][0]["state"], "running");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_cursor_belongs_to_one_list_of_one_project(pool: PgPool) {
    let world = World::start(&pool).await;
    for _ in 0..2 {
        world.submit(JOB).await;
    }
    let cursor = world.get("/v1/jobs?limit=1").await.json()["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&format!("/v1/jobs?cursor={cursor}")).await.json()["items"].as_array().unwrap().len(), 1);
    let stranger = world.key_of("other", store::keys::Scopes::of_project(), 2).await;
    let foreign = world.send_as(&stranger, "GET", &format!("/v1/jobs?cursor={cursor}"), &[], Body::empty()).await;
    assert_eq!(foreign.json()["errors"][0]["field"], "cursor");
    let of_another_list = crate::cursor::write(store::fresh_id());
    for query in [format!("cursor={of_another_list}"), format!("cursor={cursor}&cursor={cursor}"), "cursor=".to_owned()]
    {
        let refused = world.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!(refused.json()["errors"][0]["field"], "cursor", "{query}");
    }
}
