//! The shapes of what goes wrong, and who may call.

use super::world::World;
use crate::ProblemKind;
use axum::body::Body;
use http::StatusCode;
use sqlx::PgPool;
use std::{collections::HashSet, path::Path};
use store::{
    audit::By,
    callbacks::Reader,
    keys::{self, Revoked, Scopes},
};

#[test]
fn every_kind_has_its_page_and_every_page_its_kind() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let files: HashSet<String> = std::fs::read_dir(pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().trim_end_matches(".md").to_owned())
        .collect();
    let slugs: HashSet<String> = ProblemKind::ALL.iter().map(|kind| kind.slug().to_owned()).collect();
    assert_eq!(slugs.len(), ProblemKind::ALL.len(), "no two kinds share a slug");
    assert_eq!(files, slugs);
    for kind in ProblemKind::ALL {
        let head = format!("# {}\n\n`/errors/{}`, status {}.", kind.title(), kind.slug(), kind.status().as_u16());
        assert!(kind.page().starts_with(&head), "{}", kind.page());
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn routes_and_methods_that_are_none_are_told_apart(pool: PgPool) {
    let world = World::start(&pool).await;
    let nowhere = world.get("/v1/nowhere").await;
    assert_eq!((nowhere.status, nowhere.problem().as_str()), (StatusCode::NOT_FOUND, "route-not-found"));
    let wrong = world.send("DELETE", "/v1/jobs", &[], Body::empty()).await;
    assert_eq!((wrong.status, wrong.problem().as_str()), (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"));
    let allowed = wrong.headers["allow"].to_str().unwrap();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    let page = world.get("/errors/job-not-found").await;
    assert!(page.bytes.starts_with(b"# Job not found"));
    assert_eq!(world.get("/errors/no-such").await.problem(), "route-not-found");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn only_a_key_that_counts_gets_in(pool: PgPool) {
    let world = World::start(&pool).await;
    let other = store::keys::KeySecret::of_random(&[77; 32]);
    for key in ["", "flc_short", other.expose(), &world.key[..world.key.len() - 1]] {
        let answer = world.send_as(key, "GET", "/v1/jobs", &[], Body::empty()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let basic = [("authorization", "Basic flc_x")];
    assert_eq!(world.send_as("", "GET", "/v1/jobs", &basic, Body::empty()).await.problem(), "unauthenticated");
    assert_eq!(world.get("/v1/jobs").await.status, StatusCode::OK);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_revoked_key_is_cut_off_within_five_seconds(pool: PgPool) {
    let world = World::start(&pool).await;
    assert_eq!(world.get("/v1/jobs").await.status, StatusCode::OK);
    let key = keys::list(&world.store, None).await.unwrap().remove(0).id;
    let by = By::command_line("a test");
    assert_eq!(keys::revoke(&world.store, Reader::Operator, key, &by).await.unwrap(), Revoked::Done);
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    tokio::time::resume();
    assert_eq!(world.get("/v1/jobs").await.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_scope_opens_no_more_than_it_says(pool: PgPool) {
    let world = World::start(&pool).await;
    let reading = world.key_of("default", Scopes::new(["read".parse().unwrap()]), 2).await;
    assert_eq!(world.send_as(&reading, "GET", "/v1/jobs", &[], Body::empty()).await.status, StatusCode::OK);
    let cancel = "/v1/jobs/00000000-0000-7000-8000-00000000dead/cancel";
    for path in ["/v1/jobs", "/v1/jobs/batch", cancel] {
        let answer = world.send_as(&reading, "POST", path, &[], Body::empty()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::FORBIDDEN, "insufficient-scope"), "{path}");
    }
    let submitting = world.key_of("default", Scopes::new(["submit".parse().unwrap()]), 3).await;
    for path in ["/v1/jobs", "/v1/callbacks"] {
        let answer = world.send_as(&submitting, "GET", path, &[], Body::empty()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::FORBIDDEN, "insufficient-scope"), "{path}");
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_taken_is_answered_as_what_is_not_there(pool: PgPool) {
    let world = World::start(&pool).await;
    let id = world.submit(r#"{"model":"fal-ai/flux/dev","input":{}}"#).await;
    let stranger = world.key_of("other", Scopes::of_project(), 2).await;
    let routes = [
        ("GET", ""),
        ("GET", "/result"),
        ("GET", "/timeline"),
        ("GET", "/wait?timeout=0s"),
        ("POST", "/cancel"),
        ("POST", "/refetch"),
        ("POST", "/regenerate"),
    ];
    for (method, route) in routes {
        let mut answers = Vec::new();
        for id in [id.as_str(), "00000000-0000-7000-8000-00000000dead", "no-id", "%ff"] {
            let path = format!("/v1/jobs/{id}{route}");
            let answer = world.send_as(&stranger, method, &path, &[], Body::empty()).await;
            assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::NOT_FOUND, "job-not-found"), "{path}");
            answers.push(answer.bytes);
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{route}: one body for all");
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_body_is_bounded_and_its_errors_are_named(pool: PgPool) {
    let world = World::start(&pool).await;
    let large = world.post("/v1/jobs", &" ".repeat(world.state.limits.body_bytes_max + 1)).await;
    assert_eq!((large.status, large.problem().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"));

    let body = "{\"model\": \"fal-ai/flux/dev\",\n \"input\": {}, }";
    let broken = world.post("/v1/jobs", body).await;
    assert_eq!((broken.status, broken.problem().as_str()), (StatusCode::BAD_REQUEST, "invalid-request"));
    let error = &broken.json()["errors"][0];
    assert_eq!(error["field"], "body");
    assert!(error["rule"].as_str().unwrap().contains("line 2 column"), "{error}");

    let unknown = world.post("/v1/jobs", r#"{"model":"a/b","input":{},"colour":1}"#).await;
    assert_eq!(unknown.json()["errors"][0]["field"], "colour");
    assert_eq!(world.count("jobs").await, 0);
}
