//! What `/openapi.json` says.

use serde_json::{Value, json};
use testkit::World;

/// One operation of the description.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) method: reqwest::Method,
    /// With its parameters in braces.
    pub(super) path: String,
    pub(super) id: String,
    /// Nothing where no key is needed.
    pub(super) scope: Option<String>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
}

#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub(super) name: String,
    /// `path`, `query` or `header`.
    pub(super) place: String,
    pub(super) required: bool,
}

/// The JSON body of an operation.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) required: bool,
    /// Without references.
    pub(super) schema: Value,
    /// A body that is understood.
    pub(super) example: Value,
}

/// Reads every operation that the first server describes.
pub(super) async fn operations(world: &World) -> Vec<Operation> {
    let document = world.get("/openapi.json").await.json();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("the description has paths") {
        for (method, told) in item.as_object().expect("a path has operations") {
            let Ok(method) = method.to_uppercase().parse() else { continue };
            if told["operationId"].is_string() {
                operations.push(operation(&document, method, path, told));
            }
        }
    }
    assert!(operations.len() > 15, "{} operations", operations.len());
    operations
}

impl Operation {
    /// The parameters of one place.
    pub(super) fn parameters_in<'a>(&'a self, place: &'a str) -> impl Iterator<Item = &'a Parameter> {
        self.parameters.iter().filter(move |parameter| parameter.place == place)
    }

    /// Whether the path names one thing.
    pub(super) fn names_one(&self) -> bool {
        self.path.contains('{')
    }

    /// The example body; empty where the operation takes none.
    pub(super) fn example(&self) -> String {
        self.body.as_ref().map(|body| body.example.to_string()).unwrap_or_default()
    }
}

fn operation(document: &Value, method: reqwest::Method, path: &str, told: &Value) -> Operation {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let parameters = told["parameters"].as_array().into_iter().flatten().map(|parameter| Parameter {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        required: parameter["required"] == json!(true),
    });
    let place = format!("{method} {path}");
    Operation {
        path: path.to_owned(),
        id: text(&told["operationId"]),
        scope: told["security"][0]["key"][0].as_str().map(str::to_owned),
        parameters: parameters.collect(),
        body: told["requestBody"].is_object().then(|| body(document, &told["requestBody"], &place)),
        method,
    }
}

fn body(document: &Value, told: &Value, place: &str) -> Body {
    let content = &told["content"]["application/json"];
    let schema = resolved(document, &content["schema"]);
    let example = [&content["example"], &schema["example"]].into_iter().find(|example| !example.is_null()).cloned();
    let listed = (!schema["items"]["example"].is_null()).then(|| json!([schema["items"]["example"]]));
    let by_member = || {
        let members = schema["properties"].as_object()?;
        let named = members.iter().filter(|(_, member)| !member["example"].is_null());
        Some(named.map(|(name, member)| (name.clone(), member["example"].clone())).collect())
    };
    let example = example.or(listed).or_else(|| by_member().map(Value::Object));
    let example = example.filter(|example| *example != json!({}));
    let example =
        example.unwrap_or_else(|| panic!("the body of {place} needs an example in its schema, which the stories send"));
    Body { required: told["required"] == json!(true), schema, example }
}

/// A schema with what it refers to in the place of every reference. No body refers to itself.
fn resolved(document: &Value, schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            if let Some(pointer) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
                return resolved(document, document.pointer(pointer).expect("references lead somewhere"));
            }
            // A choice of one is what an optional member is written as.
            if let Some([only]) = schema["oneOf"].as_array().map(Vec::as_slice) {
                return resolved(document, only);
            }
            members.iter().map(|(name, member)| (name.clone(), resolved(document, member))).collect()
        }
        Value::Array(items) => items.iter().map(|item| resolved(document, item)).collect(),
        _ => schema.clone(),
    }
}
