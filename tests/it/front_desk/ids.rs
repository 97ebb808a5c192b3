//! Which values of ours a stranger could try, for each parameter of the description.
//!
//! A parameter that is not here fails the stories: say what stands for it.

use super::{
    document::{Operation, Parameter},
    scene::{CANARY, Scene},
};

/// No row has it.
pub(super) const NO_ID: &str = "01900000-0000-7000-8000-00000000dead";

/// The id of our project.
const PROJECT: &str = "00000000-0000-7000-8000-000000000001";

/// What can be put in the place of a parameter.
#[derive(Debug)]
pub(super) enum Value {
    /// Names a thing of ours: each of the first must be answered as the second, which names nothing.
    Id(Vec<String>, String),
    /// Names nothing of anybody's: any value that is understood.
    Plain(String),
    /// Where a page of ours ended.
    Cursor,
}

/// What stands for a parameter of a path.
pub(super) fn in_path(scene: &Scene, operation: &Operation, parameter: &Parameter) -> Value {
    let stem = operation.path.split('{').next().unwrap_or_default();
    let uuid = |ours: &[String]| Value::Id(ours.to_vec(), NO_ID.to_owned());
    match (stem, parameter.name.as_str()) {
        ("/v1/jobs/", "id") => uuid(&scene.jobs),
        ("/v1/callbacks/", "id") => uuid(&scene.callbacks),
        ("/v1/events/", "id") => uuid(&scene.events),
        ("/v1/consumers/", "name") => word(CANARY),
        ("/v1/credentials/", "id") => uuid(&scene.credentials),
        ("/v1/keys/", "id") => uuid(&scene.keys),
        ("/v1/projects/", "id") => Value::Id(vec![PROJECT.to_owned(), "default".to_owned()], NO_ID.to_owned()),
        ("/v1/orphan-charges/", "request_id") => word(&scene.charge),
        ("/errors/", "slug") => Value::Plain("job-open".to_owned()),
        ("/docs/", "file") => Value::Plain("swagger-ui.css".to_owned()),
        _ => unknown("in_path", operation, parameter),
    }
}

/// What stands for a parameter of a query.
pub(super) fn in_query(scene: &Scene, operation: &Operation, parameter: &Parameter) -> Value {
    let plain = |text: &str| Value::Plain(text.to_owned());
    let uuid = |ours: &[String]| Value::Id(ours.to_vec(), NO_ID.to_owned());
    match (operation.path.as_str(), parameter.name.as_str()) {
        (_, "cursor") => Value::Cursor,
        (_, "limit") => plain("200"),
        (_, "wait" | "timeout") => plain("100ms"),
        ("/v1/jobs", "state") => plain("queued,running,succeeded,failed,canceled"),
        ("/v1/jobs", "model") => plain("fal-ai/flux/dev"),
        ("/v1/jobs", "error_class") => plain("content_policy"),
        ("/v1/jobs", "metadata") => Value::Id(vec![format!(r#"{{"of":"{CANARY}"}}"#)], r#"{"of":"nobody"}"#.to_owned()),
        (_, "tag") => word(CANARY),
        (_, "created_from") => plain("2020-01-01T00:00:00Z"),
        (_, "created_before") => plain("2090-01-01T00:00:00Z"),
        ("/v1/callbacks", "disposition") => plain("kept"),
        ("/v1/callbacks", "cause") => plain("stale_stamp"),
        (_, "job_id") => uuid(&scene.jobs),
        (_, "attempt_id") => uuid(&scene.jobs),
        (_, "request_id") => Value::Id(scene.requests.clone(), NO_ID.to_owned()),
        // The feed makes a consumer of that name for the strangers too.
        ("/v1/events", "consumer") => plain(CANARY),
        ("/v1/audit", "action") => plain("key.created"),
        ("/v1/audit", "key_id") => uuid(&scene.keys),
        ("/v1/audit", "from") => plain("2020-01-01T00:00:00Z"),
        ("/v1/audit", "before") => plain("2090-01-01T00:00:00Z"),
        ("/v1/keys", "live") => plain("true"),
        ("/v1/events", "types") => plain("job.succeeded,job.failed"),
        ("/v1/orphan-charges", "state") => plain("resolved"),
        _ => unknown("in_query", operation, parameter),
    }
}

/// What stands for a header.
pub(super) fn in_header(operation: &Operation, parameter: &Parameter) -> Value {
    match parameter.name.as_str() {
        // The key under which our first job was submitted.
        "Idempotency-Key" => Value::Plain(format!("{CANARY}-0")),
        "Idempotency-Reset" => Value::Plain("failed".to_owned()),
        "Last-Event-ID" => Value::Plain("1".to_owned()),
        _ => unknown("in_header", operation, parameter),
    }
}

/// What stands for a member of a body that names something.
pub(super) fn in_body(scene: &Scene, operation: &Operation, name: &str) -> Value {
    match (operation.path.as_str(), name) {
        ("/v1/events/ack", "consumer") => word(CANARY),
        ("/v1/events/ack", "cursor") => Value::Cursor,
        ("/v1/jobs/adopt", "request_id") => Value::Id(scene.requests.clone(), NO_ID.to_owned()),
        // fal's name for an account, which is nobody's secret.
        ("/v1/credentials", "user_id") => Value::Plain("owl".to_owned()),
        _ => {
            let parameter = Parameter { name: name.to_owned(), place: "body".to_owned(), required: false };
            unknown("in_body", operation, &parameter)
        }
    }
}

fn word(ours: &str) -> Value {
    Value::Id(vec![ours.to_owned()], "nobody".to_owned())
}

fn unknown(table: &str, operation: &Operation, parameter: &Parameter) -> Value {
    panic!(
        "{} {} takes `{}`, of which the matrix of two projects knows nothing: add to `{table}` in \
         tests/it/front_desk/ids.rs what of another project stands there, and let `Scene::set` make it",
        operation.method, operation.path, parameter.name
    )
}
