//! A key that may not see payloads finds none, on no route that there is.

use super::world::{PROJECT, World};
use crate::openapi;
use axum::body::Body;
use bytes::Bytes;
use domain::{AttemptEvent, CallbackId, Charged, CredentialId, ErrorClass, Failure, ProjectId, RequestId};
use http::StatusCode;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::{collections::BTreeSet, time::Duration};
use store::{
    keys::{NewKey, Payloads, Scope, Scopes},
    settle::{AttemptNews, CallbackNews, Guard, KeptCause, Said, Source},
};

const CANARY: &str = "canary-5f1e";
const JOB: &str = r#"{"model":"fal-ai/flux/dev","input":{"prompt":"canary-5f1e"},"metadata":{"who":"canary-5f1e"}}"#;
const RESULT: &str = r#"{"images":["canary-5f1e"]}"#;
const CALLBACK: &str = r#"{"request_id":"r-1","status":"OK","payload":{"images":["canary-5f1e"]}}"#;

/// What there is to look at: a job that succeeded, one that failed, and a callback.
struct Traces {
    jobs: [String; 2],
    callback: CallbackId,
    event: String,
    key: String,
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn no_get_route_tells_a_payload_to_a_key_that_may_not_see_any(pool: PgPool) {
    let world = World::start(&pool).await;
    let (seeing, blind) = (admin(&world, Payloads::Visible, 51).await, admin(&world, Payloads::Hidden, 52).await);
    let traces = leave(&world, &seeing).await;
    let paths = paths(&traces);
    assert!(paths.len() > 20, "the walk finds the routes: {paths:?}");

    let (mut told_seeing, mut told_blind, mut refused) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (route, path) in &paths {
        for (key, told) in [(&seeing, &mut told_seeing), (&blind, &mut told_blind)] {
            let answer = world.send_as(key, "GET", path, &[], Body::empty()).await;
            assert!(!answer.status.is_server_error(), "{path}: {answer:?}");
            if format!("{:?}{}", answer.headers, String::from_utf8_lossy(&answer.bytes)).contains(CANARY) {
                told.insert(route.as_str());
            }
            if answer.status == StatusCode::FORBIDDEN {
                assert_eq!((answer.problem().as_str(), *key == blind), ("payloads-hidden", true), "{path}");
                refused.insert(route.as_str());
            }
        }
    }

    assert_eq!(told_blind, BTreeSet::new());
    // The canary is where the walk passes, so the walk can find it.
    for route in [
        "/v1/jobs",
        "/v1/jobs/{id}",
        "/v1/jobs/{id}/result",
        "/v1/jobs/{id}/stream",
        "/v1/jobs/{id}/timeline",
        "/v1/jobs/{id}/wait",
        "/v1/callbacks/{id}/raw",
        "/v1/events",
        "/v1/events/{id}",
    ] {
        assert!(told_seeing.contains(route), "{route} tells no payload to anybody: {told_seeing:?}");
    }
    assert_eq!(refused, BTreeSet::from(["/v1/callbacks/{id}/raw", "/v1/jobs/{id}/result"]));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn neither_a_filter_nor_an_answer_to_a_post_is_a_way_around(pool: PgPool) {
    let world = World::start(&pool).await;
    let (seeing, blind) = (admin(&world, Payloads::Visible, 51).await, admin(&world, Payloads::Hidden, 52).await);
    let traces = leave(&world, &seeing).await;
    for query in ["metadata=%7B%22who%22:%22canary-5f1e%22%7D", "metadata.who=canary-5f1e", "metadata.who=x"] {
        let answer = world.send_as(&blind, "GET", &format!("/v1/jobs?{query}"), &[], Body::empty()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::FORBIDDEN, "payloads-hidden"), "{query}");
    }
    let [succeeded, failed] = &traces.jobs;
    let posts = [
        ("/v1/jobs".to_owned(), JOB.to_owned()),
        ("/v1/jobs/batch".to_owned(), format!("[{JOB}]")),
        (format!("/v1/jobs/{succeeded}/refetch"), String::new()),
        (format!("/v1/jobs/{succeeded}/regenerate"), String::new()),
        (format!("/v1/jobs/{failed}/refetch"), String::new()),
        (format!("/v1/callbacks/{}/verify", traces.callback), String::new()),
    ];
    for (path, body) in posts {
        let answer = world.send_as(&blind, "POST", &path, &[], Body::from(body)).await;
        assert!(!String::from_utf8_lossy(&answer.bytes).contains(CANARY), "{path}: {answer:?}");
        assert!(answer.status.is_success() || answer.status == StatusCode::CONFLICT, "{path}: {answer:?}");
    }
}

async fn admin(world: &World, payloads: Payloads, bits: u8) -> String {
    world.key_like(&NewKey { payloads, ..NewKey::new(PROJECT, "walker", Scopes::new([Scope::Admin])) }, bits).await
}

async fn leave(world: &World, seeing: &str) -> Traces {
    let succeeded = world.submit(JOB).await;
    let claimed = world.bound("r-1").await;
    let callback = CallbackId(store::fresh_id());
    let news = CallbackNews {
        id: callback,
        credential: CredentialId::DEFAULT,
        attempt: claimed.attempt,
        request_id: RequestId("r-1".to_owned()),
        user_id: "user_me".to_owned(),
        signed_at: 1_700_000_000,
        signature: "00".repeat(64),
        body: Bytes::from_static(CALLBACK.as_bytes()),
        body_sha256: Sha256::digest(CALLBACK).into(),
        gateway_request_id: None,
        said: Said::Unusable(KeptCause::StaleStamp),
        leeway: Duration::from_mins(5),
        again: false,
    };
    world.state.settler.callback(news).await.unwrap();
    world.told(&claimed, AttemptEvent::ResultOk(RequestId("r-1".to_owned())), Some(RESULT)).await;
    let failed = world.submit(JOB).await;
    let claimed = world.bound("r-2").await;
    let failure = Failure { class: ErrorClass::ContentPolicy, charged: Charged::No };
    let event = AttemptEvent::ResultError(RequestId("r-2".to_owned()), failure);
    let news = AttemptNews {
        message: Some(format!("not allowed: {CANARY}")),
        ..AttemptNews::of(claimed.attempt, Some(event), Guard::Evidence, Source::Submit)
    };
    world.state.settler.attempt(news).await.unwrap();
    let event = first(world, seeing, "/v1/events?wait=20s").await;
    let key = first(world, seeing, "/v1/keys").await;
    Traces { jobs: [succeeded, failed], callback, event, key }
}

async fn first(world: &World, key: &str, path: &str) -> String {
    let answer = world.send_as(key, "GET", path, &[], Body::empty()).await;
    answer.json()["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{path}: {answer:?}")).to_owned()
}

/// Every path of a GET, with what there is in its place; a route of jobs once for each job.
fn paths(traces: &Traces) -> Vec<(String, String)> {
    let document = openapi::document();
    let mut paths = Vec::new();
    for (route, item) in document["paths"].as_object().unwrap() {
        if item["get"].is_null() {
            continue;
        }
        let ids: Vec<String> = match route.split('/').nth(2) {
            Some("jobs") => traces.jobs.to_vec(),
            Some("callbacks") => vec![traces.callback.to_string()],
            Some("events") => vec![traces.event.clone()],
            Some("keys") => vec![traces.key.clone()],
            Some("projects") => vec![ProjectId::DEFAULT.to_string()],
            _ => vec![CredentialId::DEFAULT.to_string()],
        };
        for id in ids {
            let path = route.replace("{id}", &id).replace("{slug}", "internal").replace("{file}", "swagger-ui.css");
            assert!(!path.contains('{'), "the walk does not know what to put into {route}");
            paths.push((route.clone(), path));
        }
    }
    paths
}
