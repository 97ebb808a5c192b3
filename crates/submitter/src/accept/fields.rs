//! Reads a JSON object field by field, so that every complaint names its field.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
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

/// The members of a JSON object in their order, each as its own bytes, so that a value is passed on as it was sent.
/// Repeats are among them: see [`Members::repeated`].
#[derive(Debug)]
pub struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// When it is none. A syntax error says its line and column.
    pub fn parse(body: &'a [u8]) -> Result<Self, FieldError> {
        serde_json::from_slice(body).map_err(|error| FieldError::new("body", format!("must be a JSON object: {error}")))
    }

    /// A name that is there twice. Two readers might take different ones of it.
    pub fn repeated(&self) -> Option<&str> {
        // A body may hold a million names, so each is looked up and not compared with all.
        let mut names = HashSet::new();
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !names.insert(*name))
    }

    /// Takes out the member of that name. Of a name that is there twice only the first is taken.
    pub fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.0.iter().position(|(own, _)| own == name)?;
        Some(self.0.remove(index).1)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
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
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
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
