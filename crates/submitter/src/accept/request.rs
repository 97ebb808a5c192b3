//! A request for a job: its fields, their rules, and nothing that the server owns.

use super::fields::{FieldError, InvalidRequest, Members, depth, read};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{JobId, OnUnknown, Priority};
use fal::EndpointId;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;
use store::accept::Unique;

/// Nesting of an input beyond which it is refused; fal's own models stay below ten.
const INPUT_DEPTH_MAX: usize = 64;
const METADATA_BYTES_MAX: usize = 16 * 1024;
const TAGS_MAX: usize = 20;
const TAG_CHARS_MAX: usize = 64;
const KEY_CHARS_MAX: usize = 255;
const ATTEMPTS_MAX: u16 = 100;
const UNIQUE_PERIOD_MAX: Duration = Duration::from_hours(24 * 30);

/// A request for a job, every rule checked.
#[derive(Clone, Debug)]
pub struct JobRequest {
    pub model: EndpointId,
    /// The object `input`, byte for byte.
    pub input: Bytes,
    pub priority: Priority,
    pub run_at: Option<DateTime<Utc>>,
    pub useful_until: Option<DateTime<Utc>>,
    pub on_unknown: OnUnknown,
    /// Nothing means the server's own setting.
    pub attempts_max: Option<u16>,
    pub tags: Vec<String>,
    /// A JSON object.
    pub metadata: serde_json::Value,
    pub unique: Option<Unique>,
    /// Never read from a body: set by whoever replays a job.
    pub regenerated_from: Option<JobId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UniqueBody {
    key: String,
    r#for: String,
}

impl JobRequest {
    /// A request with nothing but what it must have.
    pub fn new(model: EndpointId, input: Bytes) -> Self {
        Self {
            model,
            input,
            priority: Priority::default(),
            run_at: None,
            useful_until: None,
            on_unknown: OnUnknown::default(),
            attempts_max: None,
            tags: Vec::new(),
            metadata: serde_json::Value::Object(serde_json::Map::new()),
            unique: None,
            regenerated_from: None,
        }
    }

    /// Reads the JSON body of `POST /v1/jobs`.
    ///
    /// # Errors
    /// Every rule that the body breaks, each with its field.
    pub fn parse(body: &[u8]) -> Result<Self, InvalidRequest> {
        let members = Members::parse(body).map_err(|error| InvalidRequest(vec![error]))?;
        let (mut model, mut input, mut errors) = (None, None, Vec::new());
        let mut rest = Self::new(placeholder_model(), Bytes::new());
        for (name, value) in &members.0 {
            let read = match name.as_str() {
                "model" => read_model(value).map(|read| model = Some(read)),
                "input" => read_input(value).map(|read| input = Some(read)),
                _ => rest.read_option(name, value),
            };
            errors.extend(read.err());
        }
        for (name, missing) in [("model", model.is_none()), ("input", input.is_none())] {
            if missing && !errors.iter().any(|error| error.field == name) {
                errors.push(FieldError::new(name, "is required"));
            }
        }
        match (model, input) {
            (Some(model), Some(input)) if errors.is_empty() => Ok(Self { model, input, ..rest }),
            _ => Err(InvalidRequest(errors)),
        }
    }

    fn read_option(&mut self, name: &str, value: &RawValue) -> Result<(), FieldError> {
        match name {
            "priority" => self.priority = read_priority(value)?,
            "run_at" => self.run_at = Some(read_time(name, value)?),
            "useful_until" => self.useful_until = Some(read_time(name, value)?),
            "on_unknown" => {
                self.on_unknown = read(name, value, "must be one of `patient`, `impatient`, `operator`")?;
            }
            "max_attempts" => self.attempts_max = Some(read_attempts(value)?),
            "tags" => self.tags = read_tags(value)?,
            "metadata" => self.metadata = read_metadata(value)?,
            "unique" => self.unique = Some(read_unique(value)?),
            _ => return Err(FieldError::new(&name.escape_debug().to_string(), "is not a field of a job")),
        }
        Ok(())
    }
}

/// Stands in the half-read request until the body's own model takes its place.
fn placeholder_model() -> EndpointId {
    EndpointId::parse("model/missing").expect("a valid id")
}

/// Reads and checks a model id. Also used where a request names a model elsewhere than in a body.
fn read_model(value: &RawValue) -> Result<EndpointId, FieldError> {
    let text: String = read("model", value, "must be a string")?;
    EndpointId::parse(&text).map_err(|error| FieldError::new("model", error.to_string()))
}

fn read_input(value: &RawValue) -> Result<Bytes, FieldError> {
    let text = value.get();
    if !text.starts_with('{') {
        return Err(FieldError::new("input", "must be a JSON object"));
    }
    if depth(text) > INPUT_DEPTH_MAX {
        return Err(FieldError::new("input", format!("must not nest deeper than {INPUT_DEPTH_MAX} levels")));
    }
    Ok(Bytes::copy_from_slice(text.as_bytes()))
}

fn read_priority(value: &RawValue) -> Result<Priority, FieldError> {
    let rule = format!("must be a whole number from {} to {}", Priority::LOWEST, Priority::HIGHEST);
    let level: i64 = read("priority", value, &rule)?;
    Priority::new(level).ok_or_else(|| FieldError::new("priority", rule))
}

fn read_attempts(value: &RawValue) -> Result<u16, FieldError> {
    let rule = format!("must be a whole number from 1 to {ATTEMPTS_MAX}");
    let attempts: u16 = read("max_attempts", value, &rule)?;
    if (1..=ATTEMPTS_MAX).contains(&attempts) { Ok(attempts) } else { Err(FieldError::new("max_attempts", rule)) }
}

fn read_time(field: &str, value: &RawValue) -> Result<DateTime<Utc>, FieldError> {
    const RULE: &str = "must be an RFC 3339 time between the years 2000 and 2100";
    let time: DateTime<Utc> = read(field, value, RULE)?;
    let sane = (946_684_800..4_102_444_800).contains(&time.timestamp());
    if sane { Ok(time) } else { Err(FieldError::new(field, RULE)) }
}

fn read_tags(value: &RawValue) -> Result<Vec<String>, FieldError> {
    let rule = format!(
        "must be a list of at most {TAGS_MAX} strings of 1 to {TAG_CHARS_MAX} characters, none of them control characters"
    );
    let tags: Vec<String> = read("tags", value, &rule)?;
    let fits = |tag: &String| (1..=TAG_CHARS_MAX).contains(&tag.chars().count()) && !tag.chars().any(char::is_control);
    if tags.len() <= TAGS_MAX && tags.iter().all(fits) { Ok(tags) } else { Err(FieldError::new("tags", rule)) }
}

fn read_metadata(value: &RawValue) -> Result<serde_json::Value, FieldError> {
    if value.get().len() > METADATA_BYTES_MAX {
        return Err(FieldError::new("metadata", format!("must not be larger than {METADATA_BYTES_MAX} bytes")));
    }
    let metadata: serde_json::Value = read("metadata", value, "must be a JSON object that can be stored exactly")?;
    if !metadata.is_object() {
        return Err(FieldError::new("metadata", "must be a JSON object"));
    }
    // Postgres' jsonb has no NUL: error 22P05.
    if value.get().contains("\\u0000") {
        return Err(FieldError::new("metadata", "must not contain the character NUL"));
    }
    Ok(metadata)
}

fn read_unique(value: &RawValue) -> Result<Unique, FieldError> {
    let body: UniqueBody = read("unique", value, "must be an object with the strings `key` and `for`")?;
    if !(1..=KEY_CHARS_MAX).contains(&body.key.chars().count()) || body.key.chars().any(char::is_control) {
        let rule = format!("must have 1 to {KEY_CHARS_MAX} characters, none of them control characters");
        return Err(FieldError::new("unique.key", rule));
    }
    let period = humantime::parse_duration(&body.r#for)
        .ok()
        .filter(|period| !period.is_zero() && *period <= UNIQUE_PERIOD_MAX)
        .ok_or_else(|| FieldError::new("unique.for", "must be a duration such as `10m`, at most 30 days"))?;
    Ok(Unique { key: body.key, period })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
