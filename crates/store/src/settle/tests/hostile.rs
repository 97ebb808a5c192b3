//! Bytes that Postgres or a parser would choke on.

use crate::settle::{AttemptNews, CallbackNews, Disposition, KeptCause, Said, Source};
use crate::tests::{fixture::*, invariants};
use bytes::Bytes;
use domain::AttemptEvent;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

fn hostile() -> Vec<Bytes> {
    let text = [
        r#"{"a": "\u0000"}"#,
        r#"{"a": "\ud800"}"#,
        r#"{"seed": 17454220438242315174, "huge": 184467440737095516160}"#,
        r#"{"n": 1e1000000, "m": -0, "k": 1.0}"#,
        r#"{"a": 1, "a": 2}"#,
        " \n{ \"spaced\" :\t[ ] } ",
        "null",
    ];
    let mut bodies: Vec<Bytes> = text.into_iter().map(|text| Bytes::from(text.to_owned())).collect();
    bodies.push(Bytes::from("[".repeat(20_000) + &"]".repeat(20_000)));
    bodies.push(Bytes::from(format!("[{}]", vec!["1e131071"; 1000].join(","))));
    bodies.push(Bytes::from_static(b"\"\xff\xfe\""));
    bodies
}

async fn stored(pool: &PgPool, attempt: domain::AttemptId) -> (Vec<u8>, Vec<u8>) {
    sqlx::query_as("select body, body_sha256 from falconer.results where attempt_id = $1")
        .bind(attempt.0)
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_result_is_stored_byte_for_byte(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    for (n, payload) in hostile().into_iter().enumerate() {
        let id = format!("r-{n}");
        let claimed = submitted(&store, a_job(), &id).await;
        let news = call(&store, claimed.attempt, &id, Said::Ok(payload.clone())).await;
        assert_eq!(receive(&store, news.clone()).await, Disposition::Applied, "{n}");
        let (body, sha256) = stored(&pool, claimed.attempt).await;
        assert_eq!(body, payload, "{n}");
        assert_eq!(sha256, Sha256::digest(&payload).to_vec(), "{n}");
        assert_eq!(receive(&store, news).await, Disposition::Duplicate, "{n}: the same bytes say the same");
    }
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_cannot_be_parsed_and_differs_is_a_conflict(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    receive(&store, call(&store, claimed.attempt, "r-1", ok("[1e1000000]")).await).await;
    let other = receive(&store, call(&store, claimed.attempt, "r-1", ok("[1e1000001]")).await).await;
    assert_eq!(other, Disposition::Kept(KeptCause::Conflict));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_result_that_a_look_found_is_stored_byte_for_byte(pool: PgPool) {
    let store = store(&pool);
    for (n, payload) in hostile().into_iter().enumerate() {
        let id = format!("r-{n}");
        let claimed = submitted(&store, a_job(), &id).await;
        let news = evidence(claimed.attempt, AttemptEvent::ResultOk(request(&id)), Source::Poll);
        tell(&store, AttemptNews { result: Some(payload.clone()), ..news }).await;
        assert_eq!(stored(&pool, claimed.attempt).await.0, payload, "{n}");
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn text_that_postgres_cannot_hold_does_not_hold_up_the_attempt(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    let said = Said::Error { failure: LASTING, message: "a\0b".to_owned() };
    let news = call(&store, claimed.attempt, "r-1", said).await;
    let news = CallbackNews { gateway_request_id: Some("g\0".to_owned()), ..news };
    assert_eq!(receive(&store, news).await, Disposition::Applied);
    let attempt = attempt_row(&pool, claimed.attempt).await;
    assert_eq!((attempt.state.as_str(), attempt.gateway_request_id), ("failed", None));
    assert_eq!(attempt.error_message.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(job_row(&pool, claimed.job).await.error_message.as_deref(), Some("a\u{fffd}b"));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_large_body_of_a_rejected_call_is_not_kept(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    for (bytes, kept) in [(crate::rejected::BODY_KEPT_MAX, 1), (crate::rejected::BODY_KEPT_MAX + 1, 0)] {
        let news = call(&store, claimed.attempt, "r-1", ok("{}")).await;
        let body = Bytes::from(vec![b' '; bytes]);
        receive(&store, CallbackNews { user_id: "user_theirs".to_owned(), body, ..news }).await;
        let bodies = "select count(body) from falconer.callbacks where body_bytes = (
            select max(body_bytes) from falconer.callbacks)";
        assert_eq!(count(&pool, bodies).await, kept, "{bytes}");
    }
}
