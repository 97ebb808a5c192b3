//! Bodies that are no requests, for every operation that takes one. What they are made of is in [`broken`].

mod broken;

use super::{
    document::{Body, Operation, operations},
    ids::{self, Value},
    scene::{Scene, Seen},
};
use broken::{Broken, broken};
use sqlx::PgPool;
use std::collections::BTreeMap;

/// What only the inside says.
const INSIDE: [&str; 9] =
    ["sqlx", "sqlstate", "insert into", "select ", "falconer.", "panicked", "backtrace", ".rs:", "postgres"];

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_request_is_answered_by_a_problem_that_names_the_place_and_writes_nothing() {
    let scene = Scene::set().await;
    let operator = format!("Bearer {}", scene.world.operator_key().await);
    let mut sent = 0;
    for operation in operations(&scene.world).await {
        let Some(body) = &operation.body else { continue };
        let path = path(&scene, &operation);
        let before = rows(scene.world.db()).await;
        for Broken { what, bytes, headers } in broken(body) {
            let place = format!("{} with {what}", operation.id);
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, *value)).collect();
            let seen = scene.send(&operation.method, &path, &operator, &headers, bytes.into()).await;
            must_refuse(&place, body, &seen);
            sent += 1;
        }
        assert_eq!(rows(scene.world.db()).await, before, "{} wrote something", operation.id);
    }
    assert!(sent > 300, "only {sent} bodies were sent");
    scene.world.check().await;
}

/// A problem that says what is wrong and where, and nothing of the inside. A batch says so for each of its items.
fn must_refuse(place: &str, body: &Body, seen: &Seen) {
    let text = String::from_utf8_lossy(&seen.body).into_owned();
    let shown = text.get(..text.len().min(600)).unwrap_or_default();
    if body.schema["type"] == "array" && seen.kind == "application/x-ndjson" {
        assert_eq!(seen.status, 200, "{place}: {shown}");
        assert!(!text.is_empty(), "{place} was answered by nothing");
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
            assert!(
                line["problem"]["errors"][0]["field"].is_string() || line["problem"]["status"] == 413,
                "{place}: {line}"
            );
        }
    } else {
        assert!([400, 404, 413, 415].contains(&seen.status), "{place}: {} {shown}", seen.status);
        assert_eq!(seen.kind, "application/problem+json", "{place}: {shown}");
        let problem = seen.json();
        match seen.status {
            400 => {
                // The name of a member may be empty.
                let (field, rule) = (&problem["errors"][0]["field"], problem["errors"][0]["rule"].as_str());
                assert!(field.is_string() && rule.is_some_and(|rule| !rule.is_empty()), "{place}: {shown}");
            }
            // A text that could have named something, and does not.
            404 => assert!(place.contains(" as \""), "{place}: {shown}"),
            _ => assert!(problem["detail"].is_string(), "{place}: {shown}"),
        }
    }
    let lower = text.to_lowercase();
    assert!(INSIDE.iter().all(|word| !lower.contains(word)), "{place} shows the inside: {shown}");
}

/// The path of something that is there.
fn path(scene: &Scene, operation: &Operation) -> String {
    let mut path = operation.path.clone();
    for parameter in operation.parameters_in("path") {
        let value = match ids::in_path(scene, operation, parameter) {
            Value::Id(ours, _) => ours[0].clone(),
            Value::Plain(value) => value,
            Value::Cursor => continue,
        };
        path = path.replace(&format!("{{{}}}", parameter.name), &value);
    }
    path
}

/// How many rows each table has.
async fn rows(db: &PgPool) -> BTreeMap<String, i64> {
    let names: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'falconer' and c.relkind in ('r', 'p') and not c.relispartition",
    )
    .fetch_all(db)
    .await
    .expect("the tables can be listed");
    let mut rows = BTreeMap::new();
    for name in names {
        let count = sqlx::AssertSqlSafe(format!("select count(*) from falconer.{name}"));
        rows.insert(name, sqlx::query_scalar(count).fetch_one(db).await.expect("rows can be counted"));
    }
    rows
}
