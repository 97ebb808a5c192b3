//! Reads a JSON object field by field, so that every complaint names its field.

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{collections::HashSet, fmt};

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// Path of the field, `body` for the whole.
    pub field: String,
    /// The rule that it breaks.
    pub rule: String,
}

/// A request that breaks at least one rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request is invalid")]
pub struct InvalidRequest(pub Vec<FieldError>);

impl FieldError {
    pub fn new(field: &str, rule: impl Into<String>) -> Self {
        Self { field: field.to_owned(), rule: rule.into() }
    }
}

/// The members of a JSON object, in order, each as its own bytes.
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object. A name that is there twice is refused, since two readers might take different ones of it.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, FieldError> {
        serde_json::from_slice(body).map_err(|error| {
            let rule = match error.classify() {
                serde_json::error::Category::Data => error.to_string(),
                _ => format!("must be a JSON object: {error}"),
            };
            FieldError::new("body", rule)
        })
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &'de RawValue)> = Vec::new();
                // A body may hold a million names, so each is looked up and not compared with all.
                let mut names = HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format!("the field `{}` is there twice", name.escape_debug())));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Reads one value, or says that it breaks `rule`.
pub(super) fn read<'a, T: Deserialize<'a>>(field: &str, value: &'a RawValue, rule: &str) -> Result<T, FieldError> {
    serde_json::from_str(value.get()).map_err(|_| FieldError::new(field, rule))
}

/// The deepest nesting of objects and lists outside strings.
pub(super) fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
