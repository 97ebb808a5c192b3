//! The description says what the routes do, and nothing else.

use super::world::World;
use crate::{ProblemKind, openapi, routes};
use axum::{Router, body::Body};
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::{BTreeSet, HashSet};
use store::keys::Scope;

/// One operation of the description.
struct Operation {
    method: String,
    path: String,
    told: Value,
}

#[test]
fn every_route_is_described() {
    let (all, _): (Router<crate::ApiState>, _) = routes::described().split_for_parts();
    // The router tells its routes in no other way.
    let told = format!("{all:?}");
    let routed: BTreeSet<&str> = told.split('"').filter(|text| text.starts_with('/') && !is_fallback(text)).collect();
    assert!(routed.contains("/v1/jobs/{id}"), "a router tells its routes no longer: {told}");
    let described: BTreeSet<String> = operations().into_iter().map(|operation| operation.path).collect();
    assert_eq!(routed, described.iter().map(String::as_str).collect());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn every_described_operation_has_its_route(pool: PgPool) {
    let world = World::start(&pool).await;
    for Operation { method, path, told } in operations() {
        let path = path.replace("{slug}", "job-open").replace("{file}", "swagger-ui.css");
        let answer = world.send_as("", &method.to_uppercase(), &path, &[], Body::empty()).await;
        let open = told["security"] == json!([]);
        let status = if open { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(answer.status, status, "{method} {path} without a key: {answer:?}");
    }
}

#[test]
fn every_operation_has_a_name_a_chapter_and_a_scope() {
    let document = openapi::document();
    let tags: HashSet<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut names = HashSet::new();
    for Operation { method, path, told } in operations() {
        let place = format!("{method} {path}");
        assert!(names.insert(told["operationId"].as_str().unwrap().to_owned()), "{place}: the name is another's");
        assert!(told["summary"].as_str().is_some_and(|text| !text.is_empty()), "{place} has no summary");
        let own: Vec<&str> = told["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
        assert!(own.len() == 1 && tags.contains(own[0]), "{place} needs one tag of `Frame`: {own:?}");
        let responses = told["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{place} never succeeds");
        if path.starts_with("/v1/") {
            let scope = told["security"][0]["key"][0].as_str().unwrap_or_else(|| panic!("{place} names no scope"));
            assert!(scope.parse::<Scope>().is_ok(), "{place}: {scope} is no scope");
            assert!(told["description"].as_str().unwrap().contains(&format!("scope `{scope}`")), "{place}");
        }
        assert!(told.get("parameters").is_none_or(Value::is_array), "{place}");
        let parameters = told["parameters"].as_array().into_iter().flatten();
        let in_path: Vec<&str> =
            parameters.filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap()).collect();
        let braced: Vec<&str> = path.split('/').filter_map(|step| step.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(in_path, braced.iter().map(|name| name.trim_start_matches('*')).collect::<Vec<_>>(), "{place}");
    }
}

#[test]
fn every_problem_that_is_named_exists_and_every_kind_is_named() {
    let mut named = HashSet::new();
    for Operation { method, path, told } in operations() {
        for slug in told["x-problems"].as_array().unwrap().iter().map(|slug| slug.as_str().unwrap()) {
            let kind = ProblemKind::ALL.iter().find(|kind| kind.slug() == slug);
            let kind = kind.unwrap_or_else(|| panic!("{method} {path} names a problem that is none: {slug}"));
            let response =
                &told["responses"][kind.status().as_u16().to_string()]["content"]["application/problem+json"];
            assert!(response.to_string().contains(&kind.type_url()), "{method} {path}: {slug}");
            named.insert(*kind);
        }
    }
    let unnamed: Vec<&ProblemKind> = ProblemKind::ALL.iter().filter(|kind| !named.contains(kind)).collect();
    assert_eq!(unnamed, [&ProblemKind::MethodNotAllowed], "which no operation has");
}

#[test]
fn every_reference_leads_somewhere() {
    let document = openapi::document();
    assert_eq!(document["openapi"], "3.1.0");
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some_and(Value::is_object), "{reference}");
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_examples_of_the_description_are_taken(pool: PgPool) {
    let world = World::start(&pool).await;
    let document = openapi::document();
    for name in ["JobRequest", "Regeneration"] {
        assert!(document["components"]["schemas"][name]["example"].is_object(), "{name}");
    }
    let example = |name: &str| document["components"]["schemas"][name]["example"].to_string();
    let id = world.submit(&example("JobRequest")).await;
    let again = world.post(&format!("/v1/jobs/{id}/regenerate"), &example("Regeneration")).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{again:?}");
    let resolved = world.post(&format!("/v1/jobs/{id}/resolve"), &example("Resolution")).await;
    assert_eq!(resolved.problem(), "nothing-to-resolve", "the body is understood");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_description_is_served_without_a_key(pool: PgPool) {
    let world = World::start(&pool).await;
    let answer = world.send_as("", "GET", "/openapi.json", &[], Body::empty()).await;
    assert_eq!((answer.status, &answer.json()), (StatusCode::OK, &openapi::document()));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_reference_page_needs_nobody_else(pool: PgPool) {
    let world = World::start(&pool).await;
    let page = world.send_as("", "GET", "/docs", &[], Body::empty()).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("http"), "{policy}");
    let text = String::from_utf8(page.bytes.to_vec()).unwrap();
    let sources = text.split(" src=\"").chain(text.split(" href=\"")).filter_map(|rest| rest.split_once('"'));
    let files: Vec<&str> = sources.map(|(source, _)| source).filter(|source| source.starts_with('/')).collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let answer = world.send_as("", "GET", file, &[], Body::empty()).await;
        assert_eq!(answer.status, StatusCode::OK, "{file}");
        assert!(!answer.bytes.is_empty(), "{file}");
    }
    assert!(!text.contains("://"), "{text}");
}

/// Where the router itself puts what is no route.
fn is_fallback(path: &str) -> bool {
    path == "/" || path.contains("__private__")
}

fn operations() -> Vec<Operation> {
    let document = openapi::document();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, told) in item.as_object().unwrap().iter().filter(|(name, _)| openapi::is_method(name)) {
            operations.push(Operation { method: method.clone(), path: path.clone(), told: told.clone() });
        }
    }
    assert!(operations.len() > 15);
    operations
}
