//! Jobs that are made from jobs: fetched again, or run again with other words.

use super::world::World;
use domain::{AttemptEvent, RequestId};
use http::StatusCode;
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::PgPool;
use submitter::accept::UnitPrice;

const JOB: &str = r#"{"model":"fal-ai/flux/dev","input":{"prompt":"a lighthouse"}}"#;

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_failed_jobs_result_is_fetched_again_into_one_free_job(pool: PgPool) {
    let world = World::with_fal(&pool, r#"{"late": "but there"}"#).await;
    let id = world.submit(JOB).await;
    let refetch = format!("/v1/jobs/{id}/refetch");
    assert_eq!(world.post(&refetch, "").await.problem(), "job-open");
    let claimed = world.bound("r-1").await;
    let gone = AttemptEvent::ResultGone(RequestId("r-1".to_owned()));
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
