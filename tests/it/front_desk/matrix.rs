//! Every operation of the description, asked by one project for what belongs to another.

use super::{
    document::{Operation, operations},
    ids::{self, Value},
    scene::{Scene, Seen},
};
use bytes::Bytes;
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_names_another_projects_thing_is_answered_as_one_that_names_nothing() {
    let scene = Scene::set().await;
    let mut named = 0;
    for operation in operations(&scene.world).await.iter().filter(|one| one.names_one() && one.scope.is_some()) {
        let place = format!("{} {}", operation.method, operation.path);
        let (ours, nothing) = paths(&scene, operation);
        let absent = ask(&scene, operation, &nothing).await;
        assert!([403, 404].contains(&absent.status), "{place} of nothing: {absent:?}");
        for (path, id) in &ours {
            let seen = ask(&scene, operation, path).await;
            assert_eq!(seen.without(id), absent.without(&nothing_of(operation, &scene)), "{place} of another project");
            scene.must_not_tell(&place, path, &seen);
        }
        // What the strangers were refused is there.
        if operation.method == Method::GET {
            let mut found = Vec::new();
            for (path, _) in &ours {
                found.push(scene.ask(&scene.ours, path).await.status);
            }
            assert!(found.iter().any(|status| *status != 404), "{place}: ours is not there either: {found:?}");
        }
        named += ours.len();
    }
    assert!(named > 20, "only {named} questions were asked");
    let still = scene.ask(&scene.ours, &format!("/v1/jobs/{}", scene.jobs[2])).await.json();
    assert_eq!(still["state"], "running", "nobody has changed our job");
    scene.world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_feeds_filters_and_cursors_tell_nothing_of_another_project() {
    let scene = Scene::set().await;
    let operations = operations(&scene.world).await;
    let lists: Vec<&Operation> =
        operations.iter().filter(|one| one.method == Method::GET && !one.names_one() && one.scope.is_some()).collect();
    for operation in &lists {
        let plain = required(&scene, operation);
        let theirs = scene.ask(&scene.strangers, &format!("{}?{plain}", operation.path)).await;
        scene.must_not_tell(&operation.path, &plain, &theirs);
        assert!([200, 403].contains(&theirs.status), "{}: {theirs:?}", operation.path);
        let ours = scene.ask(&scene.ours, &format!("{}?{plain}", operation.path)).await;
        let text = String::from_utf8_lossy(&ours.body).into_owned();
        let told = scene.canaries().any(|canary| text.contains(canary));
        assert!(ours.status == 403 || told, "{} holds nothing of ours to be hidden: {text}", operation.path);
    }
    for operation in &lists {
        for parameter in operation.parameters_in("query") {
            let place = format!("{}?{}=", operation.path, parameter.name);
            match ids::in_query(&scene, operation, parameter) {
                Value::Plain(value) => {
                    let query = query(&[(&parameter.name, &value)]);
                    let seen = scene.ask(&scene.strangers, &format!("{}?{query}", operation.path)).await;
                    assert!([200, 403].contains(&seen.status), "{place}{value} must be understood: {seen:?}");
                    scene.must_not_tell(&place, &query, &seen);
                }
                Value::Cursor => cursor(&scene, operation, &parameter.name).await,
                Value::Id(ours, nothing) => {
                    let ask = async |value: &str| {
                        let query = query(&[(&parameter.name, value)]);
                        scene.ask(&scene.strangers, &format!("{}?{query}", operation.path)).await
                    };
                    let absent = ask(&nothing).await;
                    for value in &ours {
                        let seen = ask(value).await;
                        assert_eq!(seen.without(value), absent.without(&nothing), "{place}{value}");
                        scene.must_not_tell(&place, value, &seen);
                    }
                }
            }
        }
    }
    scene.world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_names_in_headers_and_bodies_lead_to_nothing_of_another_project() {
    let scene = Scene::set().await;
    let ours = scene.ask(&scene.ours, &format!("/v1/jobs/{}", scene.jobs[0])).await;
    for operation in operations(&scene.world).await.iter().filter(|one| one.scope.is_some() && !one.names_one()) {
        let place = format!("{} {}", operation.method, operation.path);
        let headers: Vec<(String, String)> = operation
            .parameters_in("header")
            .filter_map(|parameter| match ids::in_header(operation, parameter) {
                Value::Plain(value) => Some((parameter.name.clone(), value)),
                Value::Id(..) | Value::Cursor => None,
            })
            .collect();
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let sent = format!("{headers:?}");
        for body in bodies(&scene, operation) {
            // One key goes with one body.
            let headers = if body.compared.is_none() { &headers[..] } else { &[] };
            let call = async |body: &str| {
                let body = Bytes::from(body.to_owned());
                scene.send(&operation.method, &operation.path, &scene.strangers, headers, body).await
            };
            let seen = call(&body.ours).await;
            assert!(seen.status < 500, "{place} {}: {seen:?}", body.ours);
            scene.must_not_tell(&place, &format!("{sent} {}", body.ours), &seen);
            if let Some((value, nothing, absent)) = &body.compared {
                let absent = call(absent).await;
                assert_eq!(seen.without(value), absent.without(nothing), "{place} {}", body.ours);
            }
        }
    }
    assert_eq!(scene.ask(&scene.ours, &format!("/v1/jobs/{}", scene.jobs[0])).await.body, ours.body);
    scene.world.check().await;
}

/// A body to send, and what it is compared with: our value in it, the value that names nothing, and the body with that.
struct Tried {
    ours: String,
    compared: Option<(String, String, String)>,
}

/// The example of an operation, and a body for each member of it that names something.
fn bodies(scene: &Scene, operation: &Operation) -> Vec<Tried> {
    let Some(body) = &operation.body else { return Vec::new() };
    let mut tried = vec![Tried { ours: body.example.to_string(), compared: None }];
    for name in body.schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name) {
        if !(name.ends_with("_id") || ["consumer", "cursor"].contains(&name.as_str())) {
            continue;
        }
        let Value::Id(ours, nothing) = ids::in_body(scene, operation, name) else { continue };
        for value in ours {
            let with = |value: &str| {
                let mut body = body.example.clone();
                body[name] = json!(value);
                body.to_string()
            };
            let compared = Some((value.clone(), nothing.clone(), with(&nothing)));
            tried.push(Tried { ours: with(&value), compared });
        }
    }
    tried
}

/// Where a page of ours ended is no place where a stranger could go on.
async fn cursor(scene: &Scene, operation: &Operation, name: &str) {
    let page = scene.ask(&scene.ours, &format!("{}?limit=1", operation.path)).await.json();
    let ended = ["next_cursor", "cursor"].iter().find_map(|member| page[member].as_str());
    let Some(ended) = ended else { return };
    let query = query(&[(name, ended)]);
    let seen = scene.ask(&scene.strangers, &format!("{}?{query}", operation.path)).await;
    assert!([200, 400, 403].contains(&seen.status), "{}?{query}: {seen:?}", operation.path);
    scene.must_not_tell(&operation.path, &query, &seen);
}

/// The path of each thing of ours, with its id, and the path that names nothing.
fn paths(scene: &Scene, operation: &Operation) -> (Vec<(String, String)>, String) {
    let mut parameters = operation.parameters_in("path");
    let (Some(parameter), None) = (parameters.next(), parameters.next()) else {
        panic!("{} has more than one id: let `paths` in tests/it/front_desk/matrix.rs combine them", operation.path)
    };
    let Value::Id(ours, nothing) = ids::in_path(scene, operation, parameter) else {
        panic!("{} needs a key, so what it names belongs to somebody", operation.path)
    };
    let braced = format!("{{{}}}", parameter.name);
    let query = required(scene, operation);
    let fill = |id: &str| format!("{}?{query}", operation.path.replace(&braced, id));
    (ours.iter().map(|id| (fill(id), id.clone())).collect(), fill(&nothing))
}

fn nothing_of(operation: &Operation, scene: &Scene) -> String {
    let parameter = operation.parameters_in("path").next().expect("the path names one thing");
    match ids::in_path(scene, operation, parameter) {
        Value::Id(_, nothing) => nothing,
        Value::Plain(_) | Value::Cursor => String::new(),
    }
}

async fn ask(scene: &Scene, operation: &Operation, path: &str) -> Seen {
    let body = Bytes::from(operation.example());
    scene.send(&operation.method, path, &scene.strangers, &[], body).await
}

/// The parameters of the query without which the operation is not understood, and short waits.
fn required(scene: &Scene, operation: &Operation) -> String {
    let mut pairs = Vec::new();
    for parameter in operation.parameters_in("query") {
        let value = match ids::in_query(scene, operation, parameter) {
            Value::Plain(value) if parameter.required || ["wait", "timeout"].contains(&parameter.name.as_str()) => {
                value
            }
            Value::Id(_, nothing) if parameter.required => nothing,
            _ => continue,
        };
        pairs.push((parameter.name.as_str(), value));
    }
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    query(&pairs)
}

fn query(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
