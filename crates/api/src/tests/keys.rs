//! Keys, projects, the audit log and rates over HTTP.

use super::world::{Answer, PROJECT, World};
use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use store::keys::{NewKey, Payloads, Rate, Scope, Scopes};

async fn admin(world: &World) -> String {
    world.key_of("default", Scopes::new([Scope::Admin]), 90).await
}

async fn post(world: &World, key: &str, path: &str, body: Value) -> Answer {
    world.send_as(key, "POST", path, &[], Body::from(body.to_string())).await
}

async fn get(world: &World, key: &str, path: &str) -> Answer {
    world.send_as(key, "GET", path, &[], Body::empty()).await
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_secret_is_told_once_and_to_no_repeat(pool: PgPool) {
    let world = World::start(&pool).await;
    let admin = admin(&world).await;
    assert_eq!(post(&world, &admin, "/v1/projects", json!({"name": "acme"})).await.status, StatusCode::CREATED);
    let body =
        json!({"name": "web", "project": "acme", "scopes": ["read", "submit"], "rate_per_second": 50}).to_string();
    let once = [("idempotency-key", "deploy-7")];
    let send = async |body: &str| world.send_as(&admin, "POST", "/v1/keys", &once, Body::from(body.to_owned())).await;

    let made = send(&body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let (id, secret) =
        (made.json()["id"].as_str().unwrap().to_owned(), made.json()["secret"].as_str().unwrap().to_owned());
    assert_eq!((&made.json()["project"], &made.json()["scopes"]), (&json!("acme"), &json!(["submit", "read"])));
    assert_eq!(get(&world, &secret, "/v1/jobs").await.status, StatusCode::OK);

    let repeat = send(&body).await;
    assert_eq!(
        (repeat.status, &repeat.json()["id"], &repeat.json()["secret"]),
        (StatusCode::OK, &json!(id), &Value::Null)
    );
    assert_eq!(repeat.headers["idempotency-replayed"], "true");
    assert_eq!(send(&body.replace("web", "app")).await.problem(), "idempotency-key-reused");
    for path in ["/v1/keys".to_owned(), format!("/v1/keys/{id}"), "/v1/audit".to_owned()] {
        let answer = get(&world, &admin, &path).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert!(!String::from_utf8_lossy(&answer.bytes).contains(&secret[10..]), "{path}");
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn no_key_makes_or_touches_one_that_may_do_more(pool: PgPool) {
    let world = World::start(&pool).await;
    let admin_key = admin(&world).await;
    let narrow = world.key_of("default", Scopes::new([Scope::Operate, Scope::Read]), 91).await;
    let blind = NewKey { payloads: Payloads::Hidden, ..NewKey::new(PROJECT, "blind", Scopes::new([Scope::Admin])) };
    let blind = world.key_like(&blind, 92).await;
    let id_of = async |key: &str| {
        let all = get(&world, &admin_key, "/v1/keys").await.json();
        let found = all["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| key.starts_with(one["prefix"].as_str().unwrap()))
            .cloned();
        found.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (admin_id, narrow_id, wide_id) = (id_of(&admin_key).await, id_of(&narrow).await, id_of(&world.key).await);

    let wish = json!({"name": "x", "scopes": ["read"]});
    assert_eq!(post(&world, &narrow, "/v1/keys", wish).await.problem(), "insufficient-scope");
    for (id, verb) in [(&admin_id, "revoke"), (&wide_id, "revoke"), (&wide_id, "rotate"), (&admin_id, "rotate")] {
        let answer = post(&world, &narrow, &format!("/v1/keys/{id}/{verb}"), json!({})).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::FORBIDDEN, "insufficient-scope"), "{verb}");
    }
    let seeing = json!({"name": "x", "payloads": "visible"});
    assert_eq!(post(&world, &blind, "/v1/keys", seeing).await.problem(), "payloads-hidden");
    let unsaid = post(&world, &blind, "/v1/keys", json!({"name": "x"})).await;
    assert_eq!((unsaid.status, &unsaid.json()["payloads"]), (StatusCode::CREATED, &json!("hidden")));
    let rotated = post(&world, &blind, &format!("/v1/keys/{admin_id}/rotate"), json!({})).await;
    assert_eq!(rotated.problem(), "insufficient-scope", "a new secret of a key that sees more");

    let own = post(&world, &narrow, &format!("/v1/keys/{narrow_id}/rotate"), json!({"grace": "0s"})).await;
    assert_eq!((own.status, &own.json()["scopes"]), (StatusCode::CREATED, &json!(["read", "operate"])));
    let log = get(&world, &admin_key, "/v1/audit?action=key.revoked").await.json();
    assert_eq!(log["items"].as_array().unwrap().len(), 2, "what was refused is told: {log}");
    assert!(log["items"].as_array().unwrap().iter().all(|entry| entry["outcome"] == "refused"), "{log}");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn keys_projects_and_the_log_of_others_are_not_there(pool: PgPool) {
    let world = World::start(&pool).await;
    let admin = admin(&world).await;
    let stranger = world.key_of("other", Scopes::of_project(), 93).await;
    let mine = get(&world, &world.key, "/v1/keys").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    for (method, path) in [("GET", ""), ("POST", "/revoke"), ("POST", "/rotate")] {
        let mut bodies = Vec::new();
        for id in [mine.as_str(), "00000000-0000-7000-8000-00000000dead", "no-id"] {
            let answer = world.send_as(&stranger, method, &format!("/v1/keys/{id}{path}"), &[], Body::empty()).await;
            assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::NOT_FOUND, "key-not-found"), "{path}");
            bodies.push(answer.bytes);
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{path}: one body for all");
    }
    let foreign = get(&world, &stranger, "/v1/projects/default").await;
    assert_eq!(foreign.bytes, get(&world, &stranger, "/v1/projects/nobody").await.bytes);
    let seen = get(&world, &stranger, "/v1/projects").await.json();
    assert_eq!((seen["items"].as_array().unwrap().len(), &seen["items"][0]["name"]), (1, &json!("other")));
    assert_eq!(get(&world, &admin, "/v1/projects").await.json()["items"].as_array().unwrap().len(), 2);

    let job = world.submit(r#"{"model":"fal-ai/flux/dev","input":{}}"#).await;
    world.post(&format!("/v1/jobs/{job}/cancel"), "").await;
    let log = get(&world, &world.key, "/v1/audit?action=job.canceled").await.json();
    assert_eq!(log["items"][0]["subject"], json!({"kind": "job", "id": job}));
    let others = get(&world, &stranger, "/v1/audit").await;
    assert!(!String::from_utf8_lossy(&others.bytes).contains(&job), "{others:?}");
    for path in ["/v1/keys", "/v1/projects"] {
        let answer = post(&world, &stranger, path, json!({"name": "x"})).await;
        assert_eq!(answer.problem(), "insufficient-scope", "{path}");
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_bad_body_names_its_field(pool: PgPool) {
    let world = World::start(&pool).await;
    let admin = admin(&world).await;
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": "a\u{0}b"}), "name"),
        (json!({"name": "x", "scopes": []}), "scopes"),
        (json!({"name": "x", "scopes": ["root"]}), "scopes"),
        (json!({"name": "x", "project": "nobody"}), "project"),
        (json!({"name": "x", "project": "a\u{0}"}), "project"),
        (json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"name": "x", "expires_at": null}), "expires_at"),
        (json!({"name": "x", "payloads": "some"}), "payloads"),
        (json!({"name": "x", "rate_per_second": 0}), "rate_per_second"),
        (json!({"name": "x", "burst": 3}), "burst"),
        (json!({"name": "x", "colour": 1}), "colour"),
    ] {
        let answer = post(&world, &admin, "/v1/keys", body.clone()).await;
        assert_eq!(
            (answer.problem().as_str(), &answer.json()["errors"][0]["field"]),
            ("invalid-request", &json!(field)),
            "{body}"
        );
    }
    let taken = post(&world, &admin, "/v1/projects", json!({"name": "default"})).await;
    assert_eq!((taken.status, taken.problem().as_str()), (StatusCode::CONFLICT, "project-exists"));
    let rename = async |id: &str, name: &str| {
        let body = Body::from(json!({ "name": name }).to_string());
        world.send_as(&admin, "PATCH", &format!("/v1/projects/{id}"), &[], body).await
    };
    assert_eq!(rename("default", "Not A Name").await.problem(), "invalid-request");
    assert_eq!(rename("nobody", "acme").await.problem(), "project-not-found");
    assert_eq!(rename("default", "acme").await.json()["name"], "acme");
    assert_eq!(world.count("api_keys").await, 2);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn whoever_asks_too_often_is_told_when_to_come_again(pool: PgPool) {
    let world = World::start(&pool).await;
    let rate = Rate { per_second: 1.try_into().unwrap(), burst: 3.try_into().ok() };
    let key =
        world.key_like(&NewKey { rate: Some(rate), ..NewKey::new(PROJECT, "slow", Scopes::of_project()) }, 94).await;
    let batch = format!("[{}]", [r#"{"model":"fal-ai/flux/dev","input":{}}"#; 5].join(","));
    let sent = world.send_as(&key, "POST", "/v1/jobs/batch", &[], Body::from(batch)).await;
    assert_eq!((sent.status, world.count("jobs").await), (StatusCode::OK, 5), "a batch is one request");

    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(get(&world, &key, "/v1/jobs").await);
    }

    let refused: Vec<&Answer> =
        answers.iter().filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS).collect();
    assert!(!refused.is_empty() && refused.len() <= 2, "{answers:?}");
    assert_eq!(refused[0].problem(), "rate-limited");
    assert_eq!(refused[0].headers["retry-after"], "1");
    assert_eq!(refused[0].headers["ratelimit-policy"], "\"key\";q=1;w=1");
    assert_eq!(get(&world, &world.key, "/v1/jobs").await.status, StatusCode::OK, "another key has its own share");
}
