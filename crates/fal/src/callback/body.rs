//! The body of a callback. It is read without changing a byte of the payload, which may hold anything a model made.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::loose;

/// How deep a callback may nest, the outermost object included.
pub const CALLBACK_DEPTH_MAX: usize = 64;

/// fal's word on the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackStatus {
    Ok,
    Error,
    /// A word that we do not know.
    Other(String),
}

/// A callback's body. The payload borrows from the bytes it was read from.
#[derive(Clone, Debug)]
pub struct CallbackBody<'a> {
    pub request_id: Cow<'a, str>,
    /// The id of fal's last own try.
    pub gateway_request_id: Option<String>,
    pub status: CallbackStatus,
    pub error: Option<String>,
    /// The model's output or error, byte for byte; JSON's null reads as `None`.
    pub payload: Option<&'a RawValue>,
    /// Why there is no payload although the run was OK.
    pub payload_error: Option<String>,
}

/// A body that is not a callback's.
#[derive(Debug, Error)]
pub enum BodyError {
    #[error("the body is not UTF-8")]
    NotUtf8,
    #[error("the body nests deeper than {CALLBACK_DEPTH_MAX} levels")]
    TooDeep,
    #[error("the body is not a callback's JSON")]
    Malformed(#[source] serde_json::Error),
}

impl<'a> CallbackBody<'a> {
    /// Reads a body. Unknown fields are passed over; a key that is there twice is refused, since two readers might
    /// take different ones of it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BodyError> {
        let text = std::str::from_utf8(bytes).map_err(|_| BodyError::NotUtf8)?;
        if depth(text.as_bytes()) > CALLBACK_DEPTH_MAX {
            return Err(BodyError::TooDeep);
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let body = json.deserialize_map(BodyVisitor).map_err(BodyError::Malformed)?;
        json.end().map_err(BodyError::Malformed)?;
        Ok(body)
    }
}

/// The deepest nesting of objects and lists outside strings. The JSON parser's own limit does not reach into raw values.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = CallbackBody<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut seen: HashSet<String> = HashSet::new();
        let (mut request_id, mut status) = (None, None);
        let (mut gateway_request_id, mut error, mut payload, mut payload_error) = (None, None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "request_id" => request_id = Some(map.next_value::<String>()?.into()),
                "status" => status = Some(map.next_value::<String>()?.into()),
                "gateway_request_id" => gateway_request_id = next_text(&mut map)?,
                "error" => error = next_text(&mut map)?,
                "payload" => payload = map.next_value::<Option<&RawValue>>()?,
                "payload_error" => payload_error = next_text(&mut map)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            if !seen.insert(key) {
                return Err(A::Error::custom("a key is there twice"));
            }
        }
        Ok(CallbackBody {
            request_id: request_id.ok_or_else(|| A::Error::missing_field("request_id"))?,
            gateway_request_id,
            status: status.ok_or_else(|| A::Error::missing_field("status"))?,
            error,
            payload,
            payload_error,
        })
    }
}

/// A field whose text is for people alone: an odd type must not cost us the payload beside it.
fn next_text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<String>, A::Error> {
    Ok(map.next_value::<Option<&RawValue>>()?.map(loose::string_of))
}

impl From<String> for CallbackStatus {
    fn from(word: String) -> Self {
        match word.as_str() {
            "OK" => Self::Ok,
            "ERROR" => Self::Error,
            _ => Self::Other(word),
        }
    }
}

#[cfg(test)]
mod tests;
