//! Stored callbacks: seen, checked and processed again.

use super::world::{PROJECT, World, signing_key};
use axum::body::Body;
use bytes::Bytes;
use domain::{CallbackId, CredentialId, RequestId};
use ed25519_dalek::Signer;
use http::StatusCode;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::time::Duration;
use store::{
    claim::Claimed,
    credentials,
    keys::Scopes,
    settle::{CallbackNews, KeptCause, Said},
};

const JOB: &str = r#"{"model":"fal-ai/flux/dev","input":{}}"#;
const BODY: &str = r#"{"request_id":"r-1","gateway_request_id":"r-1","status":"OK","error":null,"payload":{"n": 1.0}}"#;

/// A callback that came too old to be applied, signed in earnest.
async fn kept(world: &World, claimed: &Claimed, body: &'static str) -> CallbackId {
    credentials::repin(&world.store, CredentialId::DEFAULT, Some("user_me"), &store::audit::By::command_line("test"))
        .await
        .unwrap();
    let (id, stamp) = (CallbackId(store::fresh_id()), 1_700_000_000);
    let message = fal::callback::signed_message("r-1", "user_me", &stamp.to_string(), BODY.as_bytes());
    let news = CallbackNews {
        id,
        credential: CredentialId::DEFAULT,
        attempt: claimed.attempt,
        request_id: RequestId("r-1".to_owned()),
        user_id: "user_me".to_owned(),
        signed_at: stamp,
        signature: hex::encode(signing_key().sign(&message).to_bytes()),
        body: Bytes::from_static(body.as_bytes()),
        body_sha256: Sha256::digest(body).into(),
        gateway_request_id: None,
        said: Said::Unusable(KeptCause::StaleStamp),
        leeway: Duration::from_mins(5),
        again: false,
    };
    world.state.settler.callback(news).await.unwrap();
    id
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_kept_callback_is_checked_and_processed_again(pool: PgPool) {
    let world = World::start(&pool).await;
    let job = world.submit(JOB).await;
    let claimed = world.bound("r-1").await;
    assert_eq!((claimed.project, claimed.job.to_string()), (PROJECT, job.clone()));
    let id = kept(&world, &claimed, BODY).await;
    let path = format!("/v1/callbacks/{id}");

    let listed = world.get("/v1/callbacks?disposition=kept").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let seen = world.get(&path).await.json();
    assert_eq!(seen, listed["items"][0]);
    assert_eq!((&seen["cause"], &seen["job_id"]), (&json!("stale_stamp"), &json!(job)));
    assert_eq!(&world.get(&format!("{path}/raw")).await.bytes[..], BODY.as_bytes());

    let verified = world.post(&format!("{path}/verify"), "").await.json();
    let all = json!({"bytes_kept": true, "headers": true, "signature": true, "user_id": true, "request_id": true});
    assert_eq!((&verified["genuine"], &verified["checks"]), (&json!(true), &all));

    let again = world.post(&format!("{path}/reprocess"), "").await;
    assert_eq!((again.status, &again.json()["disposition"]), (StatusCode::OK, &json!("applied")), "{again:?}");
    assert_eq!(&world.get(&format!("/v1/jobs/{job}/result")).await.bytes[..], br#"{"n": 1.0}"#);
    let twice = world.post(&format!("{path}/reprocess"), "").await;
    assert_eq!((twice.status, world.count("job_events").await), (StatusCode::OK, 1));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn bytes_that_were_not_signed_are_not_processed(pool: PgPool) {
    let world = World::start(&pool).await;
    let job = world.submit(JOB).await;
    let claimed = world.bound("r-1").await;
    let id = kept(&world, &claimed, r#"{"request_id":"r-1","status":"OK","payload":{"forged":true}}"#).await;
    let verified = world.post(&format!("/v1/callbacks/{id}/verify"), "").await.json();
    assert_eq!(verified["genuine"], false);
    assert_ne!(verified["checks"]["signature"], true);
    let refused = world.post(&format!("/v1/callbacks/{id}/reprocess"), "").await;
    assert_ne!(refused.status, StatusCode::OK);
    assert_eq!(world.get(&format!("/v1/jobs/{job}")).await.json()["state"], "running");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn another_projects_callback_is_not_there(pool: PgPool) {
    let world = World::start(&pool).await;
    world.submit(JOB).await;
    let claimed = world.bound("r-1").await;
    let id = kept(&world, &claimed, BODY).await;
    let stranger = world.key_of("other", Scopes::of_project(), 2).await;
    for (method, route) in [("GET", ""), ("GET", "/raw"), ("POST", "/verify"), ("POST", "/reprocess")] {
        let path = format!("/v1/callbacks/{id}{route}");
        let answer = world.send_as(&stranger, method, &path, &[], Body::empty()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::NOT_FOUND, "callback-not-found"), "{path}");
    }
    let operator = world.key_of("other", Scopes::new(["admin".parse().unwrap()]), 3).await;
    let path = format!("/v1/callbacks/{id}");
    assert_eq!(world.send_as(&operator, "GET", &path, &[], Body::empty()).await.status, StatusCode::OK);
    let wrong = world.get("/v1/callbacks?disposition=lost&job_id=x").await;
    assert_eq!(wrong.json()["errors"].as_array().unwrap().len(), 2);
}
