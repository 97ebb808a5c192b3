//! The bodies in which fal and its models report errors: a list of details, one detail as text, or nothing we know.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::table::{self, Row};
use crate::loose;

/// How many details of a list are quoted in a message.
const QUOTED_MAX: usize = 5;

/// What could be read of an error body; a body that is no JSON object reads as empty.
#[derive(Debug, Default)]
pub(super) struct ErrorBody {
    text: Option<String>,
    details: Vec<Detail>,
    error_type: Option<String>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
    /// The platform API's form: an object with a type and a message.
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "loose::string")]
    error_type: Option<String>,
    #[serde(default, deserialize_with = "loose::string")]
    message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Detail {
    #[serde(default, deserialize_with = "loose::string")]
    msg: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "loose::string")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "location")]
    loc: String,
}

#[derive(Deserialize)]
struct PlatformError {
    #[serde(default, deserialize_with = "loose::string")]
    message: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "loose::string")]
    kind: Option<String>,
}

impl ErrorBody {
    pub(super) fn parse(body: &[u8]) -> Self {
        let Ok(fields) = serde_json::from_slice::<Fields<'_>>(body) else {
            return Self::default();
        };
        let mut parsed = Self { text: fields.message, error_type: fields.error_type, details: Vec::new() };
        if let Some(error) = fields.error {
            parsed.take_error(error);
        }
        if let Some(detail) = fields.detail {
            parsed.take_detail(detail);
        }
        parsed
    }

    /// The first type in the body that the table knows.
    pub(super) fn known_type(&self) -> Option<&'static Row> {
        self.types().find_map(table::find)
    }

    /// The first type in the body, known or not.
    pub(super) fn first_type(&self) -> Option<&str> {
        self.types().next()
    }

    /// What the body says to people.
    pub(super) fn message(&self) -> Option<String> {
        let quoted: Vec<String> = self.details.iter().take(QUOTED_MAX).filter_map(Detail::quote).collect();
        let left_out = self.details.len().saturating_sub(QUOTED_MAX);
        match (quoted.is_empty(), left_out) {
            (true, _) => self.text.clone().filter(|text| !text.trim().is_empty()),
            (false, 0) => Some(quoted.join("; ")),
            (false, more) => Some(format!("{}; and {more} more", quoted.join("; "))),
        }
    }

    fn types(&self) -> impl Iterator<Item = &str> {
        let of_details = self.details.iter().filter_map(|detail| detail.kind.as_deref());
        self.error_type.as_deref().into_iter().chain(of_details)
    }

    fn take_error(&mut self, error: &RawValue) {
        if let Ok(platform) = serde_json::from_str::<PlatformError>(error.get()) {
            self.text = platform.message.or(self.text.take());
            self.error_type = self.error_type.take().or(platform.kind);
        } else {
            self.text = Some(loose::string_of(error));
        }
    }

    fn take_detail(&mut self, detail: &RawValue) {
        match serde_json::from_str::<Vec<&RawValue>>(detail.get()) {
            Ok(list) => self.details = list.into_iter().map(Detail::read).collect(),
            Err(_) if detail.get().starts_with('{') => self.details = vec![Detail::read(detail)],
            Err(_) => self.text = Some(loose::string_of(detail)),
        }
    }
}

impl Detail {
    /// Reads one detail; a text stands for its message, and an odd shape for its own JSON.
    fn read(raw: &RawValue) -> Self {
        let plain = || Self { msg: Some(loose::string_of(raw)), ..Self::default() };
        serde_json::from_str(raw.get()).unwrap_or_else(|_| plain())
    }

    fn quote(&self) -> Option<String> {
        let said = self.msg.as_deref().or(self.kind.as_deref())?;
        Some(if self.loc.is_empty() { said.to_owned() } else { format!("{}: {said}", self.loc) })
    }
}

/// Joins a location such as `["body", "prompt", 0]` with dots.
fn location<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    let parts = raw.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
    let parts = parts.unwrap_or_default();
    Ok(parts.into_iter().map(loose::string_of).collect::<Vec<_>>().join("."))
}
