//! The life of a job as its caller sees it.

use super::world::World;
use axum::body::Body;
use domain::{AttemptEvent, Charged, ErrorClass, Failure, RequestId};
use http::StatusCode;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::PgPool;
use submitter::accept::UnitPrice;

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
async fn a_failed_jobs_result_is_fetched_again_into_one_free_job(pool: PgPool) {
    let world = World::with_fal(&pool, r#"{"late": "but there"}"#).await;
    let id = world.submit(JOB).await;
    let refetch = format!("/v1/jobs/{id}/refetch");
    assert_eq!(world.post(&refetch, "").await.problem(), "job-open");
    let claimed = world.bound("r-1").await;
    let gone = AttemptEvent::ResultGone(request("r-1"));
    world.told(&claimed, gone, None).await;
    assert_eq!(world.get(&format!("/v1/jobs/{id}")).await.json()["error"]["class"], "result_expired");

    let made = world.post(&refetch, "").await;
    assert_eq!(made.status, StatusCode::ACCEPTED, "{made:?}");
    let job = made.json();
    assert_eq!((&job["state"], &job["cost"]["charged"]), (&json!("succeeded"), &json!("0")));
    assert_eq!(job["links"]["refetched_from"], json!(format!("/v1/jobs/{id}")));
    let result = world.get(job["links"]["result"].as_str().unwrap()).await;
    assert_eq!(&result.bytes[..], br#"{"late": "but there"}"#);
    assert_eq!(world.post(&refetch, "").await.json()["id"], job["id"], "a repeat finds it");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_regeneration_edits_what_it_names_and_keeps_the_rest(pool: PgPool) {
    let world = World::start(&pool).await;
    let body = r#"{"model":"fal-ai/flux/dev","input":{"n": 1.0},"priority":3,"tags":["red"],"metadata":{"n":1}}"#;
    let id = world.submit(body).await;
    let regenerate = format!("/v1/jobs/{id}/regenerate");
    let same = world.post(&regenerate, "").await.json();
    assert_eq!((&same["priority"], &same["tags"], &same["metadata"]), (&json!(3), &json!(["red"]), &json!({"n": 1})));
    assert_eq!(same["links"]["regenerated_from"], json!(format!("/v1/jobs/{id}")));
    let edited = world.post(&regenerate, r#"{"input": {"n": 2.0 }, "priority": -1}"#).await.json();
    assert_eq!((&edited["priority"], &edited["tags"]), (&json!(-1), &json!(["red"])));
    let inputs: Vec<Vec<u8>> =
        sqlx::query_scalar("select input from falconer.jobs order by id").fetch_all(&pool).await.unwrap();
    assert_eq!(inputs, [&br#"{"n": 1.0}"#[..], br#"{"n": 1.0}"#, br#"{"n": 2.0 }"#]);
    for (body, field) in [
        (r#"{"model":"a/b"}"#, "model"),
        (r#"{"input":1}"#, "input"),
        (r#"{"max_cost":"much"}"#, "max_cost"),
        (r#"{"colour":1}"#, "colour"),
        (r#"{"priority":1,"priority":2}"#, "body"),
    ] {
        let refused = world.post(&regenerate, body).await;
        assert_eq!(refused.json()["errors"][0]["field"], field, "{body}");
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_regeneration_above_its_limit_or_of_unknown_cost_is_refused(pool: PgPool) {
    let world = World::start(&pool).await;
    let id = world.submit(JOB).await;
    let regenerate = format!("/v1/jobs/{id}/regenerate");
    let unknown = world.post(&regenerate, r#"{"max_cost":"1"}"#).await;
    assert_eq!((unknown.status, unknown.problem().as_str()), (StatusCode::PAYMENT_REQUIRED, "cost-unknown"));
    let price = UnitPrice { unit: "images".to_owned(), unit_price: Decimal::new(25, 3) };
    world.state.intake.submitter.prices.replace([("fal-ai/flux/dev".to_owned(), price)]);
    let dear = world.post(&regenerate, r#"{"max_cost":"0.02"}"#).await;
    assert_eq!((dear.status, dear.problem().as_str()), (StatusCode::PAYMENT_REQUIRED, "cost-too-high"));
    assert_eq!((&dear.json()["estimated"], &dear.json()["max_cost"]), (&json!("0.025"), &json!("0.02")));
    assert_eq!(world.count("jobs").await, 1, "nothing was made");
    let fine = world.post(&regenerate, r#"{"max_cost":"0.025"}"#).await;
    assert_eq!(fine.json()["cost"]["reserved"], "0.025");
}

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
