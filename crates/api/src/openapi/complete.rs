//! Adds to each operation what holds for all of them, so that no handler has to repeat it.

use crate::ProblemKind;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::openapi::OpenApi;

/// The extension by which an operation names the problems of its own.
const PROBLEMS: &str = "x-problems";

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The description with problems, scopes and the security scheme.
///
/// A problem that does not exist stays in the list of its operation, where the test finds it.
pub(super) fn complete(described: &OpenApi) -> Value {
    let mut document = json!(described);
    for item in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        for (_, operation) in item.as_object_mut().into_iter().flatten().filter(|(name, _)| is_method(name)) {
            complete_operation(operation);
        }
    }
    for schema in document["components"]["schemas"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        if schema["additionalProperties"] == json!(false) {
            refuse_null(&mut schema["properties"]);
        }
    }
    document["components"]["schemas"]["Problem"] = problem_schema();
    document["components"]["securitySchemes"] = json!({ "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "flc_…",
        "description": "An API key of a project. Its scopes say what it may do; `admin` stands for all of them.",
    }});
    document
}

/// Whether a member of a path is an operation.
pub(crate) fn is_method(name: &str) -> bool {
    METHODS.contains(&name)
}

/// Takes out what an `Option` says besides that a member may be missing: no body and no parameter takes `null`. Only
/// bodies are closed to unknown members, so that is how they are told from answers.
fn refuse_null(members: &mut Value) {
    for member in members.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(types) = member["type"].as_array() {
            let rest: Vec<&Value> = types.iter().filter(|name| **name != "null").collect();
            member["type"] = json!(rest.first());
        }
        if let Some(choices) = member["oneOf"].as_array() {
            let rest: Vec<&Value> = choices.iter().filter(|choice| choice["type"] != "null").collect();
            member["oneOf"] = json!(rest);
        }
    }
}

fn complete_operation(operation: &mut Value) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        let mut named = json!({"schema": parameter["schema"].take()});
        refuse_null(&mut named);
        parameter["schema"] = named["schema"].take();
    }
    let contents = operation.pointer_mut("/requestBody/content").and_then(Value::as_object_mut);
    for content in contents.into_iter().flat_map(Map::values_mut) {
        refuse_null(content);
    }
    let scope = operation["security"][0]["key"][0].as_str().map(str::to_owned);
    if let Some(scope) = &scope {
        let own = operation["description"].as_str().map(|text| format!("{text}\n\n")).unwrap_or_default();
        operation["description"] = json!(format!("{own}Needs a key with the scope `{scope}`."));
    } else {
        operation["security"] = json!([]);
    }
    let kinds = kinds(operation, scope.is_some());
    operation[PROBLEMS] = merged(operation, &kinds);
    let mut by_status: BTreeMap<u16, Vec<ProblemKind>> = BTreeMap::new();
    for kind in kinds {
        by_status.entry(kind.status().as_u16()).or_default().push(kind);
    }
    for (status, kinds) in by_status {
        operation["responses"][status.to_string()] = response(&kinds);
    }
}

/// The problems that an operation names, and those that follow from what it takes.
fn kinds(operation: &Value, with_key: bool) -> Vec<ProblemKind> {
    let named: Vec<&str> = operation[PROBLEMS].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let has_body = !operation["requestBody"].is_null();
    let has_rules =
        has_body || operation["parameters"].as_array().into_iter().flatten().any(|parameter| parameter["in"] != "path");
    let follows = |kind| match kind {
        ProblemKind::Unauthenticated
        | ProblemKind::RateLimited
        | ProblemKind::InsufficientScope
        | ProblemKind::Internal
        | ProblemKind::Unavailable => with_key,
        ProblemKind::InvalidRequest => has_rules,
        ProblemKind::BodyTooLarge | ProblemKind::RequestTimeout | ProblemKind::UnsupportedMediaType => has_body,
        _ => false,
    };
    ProblemKind::ALL.iter().copied().filter(|kind| follows(*kind) || named.contains(&kind.slug())).collect()
}

/// The slugs of all problems of an operation, with those that it names and nobody knows.
fn merged(operation: &Value, kinds: &[ProblemKind]) -> Value {
    let mut slugs: Vec<&str> = kinds.iter().map(|kind| kind.slug()).collect();
    let named = operation[PROBLEMS].as_array().into_iter().flatten().filter_map(Value::as_str);
    slugs.extend(named.filter(|slug| ProblemKind::ALL.iter().all(|kind| kind.slug() != *slug)));
    json!(slugs)
}

fn response(kinds: &[ProblemKind]) -> Value {
    let types: Vec<String> = kinds.iter().map(|kind| kind.type_url()).collect();
    let titles: Vec<String> = kinds.iter().map(|kind| format!("[{}]({}).", kind.title(), kind.type_url())).collect();
    let examples: Map<String, Value> = kinds.iter().map(|kind| (kind.slug().to_owned(), example(*kind))).collect();
    json!({
        "description": titles.join(" "),
        "content": {"application/problem+json": {
            "schema": {"allOf": [
                {"$ref": "#/components/schemas/Problem"},
                {"type": "object", "properties": {"type": {"enum": types}}},
            ]},
            "examples": examples,
        }},
    })
}

fn example(kind: ProblemKind) -> Value {
    let mut value = json!({"type": kind.type_url(), "title": kind.title(), "status": kind.status().as_u16()});
    if kind == ProblemKind::InvalidRequest {
        value["errors"] = json!([{"field": "limit", "rule": "must be a whole number from 1 to 200"}]);
    }
    json!({"summary": kind.title(), "value": value})
}

fn problem_schema() -> Value {
    let types: Vec<String> = ProblemKind::ALL.iter().map(|kind| kind.type_url()).collect();
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457). Some kinds have more members, which their pages name.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "enum": types, "description": "The kind, and the address of its page."},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "For people."},
            "errors": {
                "type": "array",
                "description": "Every rule that the request breaks.",
                "items": {
                    "type": "object",
                    "required": ["field", "rule"],
                    "properties": {
                        "field": {
                            "type": "string",
                            "description": "A field, parameter or header by its name; `body` for the whole.",
                        },
                        "rule": {"type": "string"},
                    },
                },
            },
        },
    })
}
