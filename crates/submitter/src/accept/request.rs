//! A request for a job: its fields, their rules, and nothing that the server owns.

use super::{
    fields::{FieldError, InvalidRequest, Members, read},
    rules,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{JobId, OnUnknown, Priority};
use fal::EndpointId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::accept::Unique;

/// A request for a job. Every rule of one that was parsed is checked; one that was put together by hand is checked by
/// [`JobRequest::check`], which every way in calls.
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

    /// A request that names a model and gives its input as anything that is a JSON object when it is written.
    ///
    /// # Errors
    /// `model` or `input`, when it breaks a rule.
    pub fn of(model: &str, input: &impl Serialize) -> Result<Self, InvalidRequest> {
        let refused = |field: &str, error: &dyn std::fmt::Display| {
            InvalidRequest(vec![FieldError::new(field, error.to_string())])
        };
        let model = EndpointId::parse(model).map_err(|error| refused("model", &error))?;
        let input = serde_json::to_vec(input).map_err(|error| refused("input", &error))?;
        let request = Self::new(model, input.into());
        request.check()?;
        Ok(request)
    }

    /// Checks what [`JobRequest::parse`] checks.
    ///
    /// # Errors
    /// Every rule that is broken, each with its field.
    pub fn check(&self) -> Result<(), InvalidRequest> {
        let time = |field: &str, time: Option<DateTime<Utc>>| time.map_or(Ok(()), |time| rules::time(field, time));
        let checks = [
            rules::input_bytes(&self.input),
            time("run_at", self.run_at),
            time("useful_until", self.useful_until),
            self.attempts_max.map_or(Ok(()), rules::attempts),
            rules::tags(&self.tags),
            rules::metadata(&self.metadata),
            self.unique.as_ref().map_or(Ok(()), rules::unique),
        ];
        let errors: Vec<FieldError> = checks.into_iter().filter_map(Result::err).collect();
        if errors.is_empty() { Ok(()) } else { Err(InvalidRequest(errors)) }
    }

    /// Reads the JSON body of `POST /v1/jobs`.
    ///
    /// # Errors
    /// Every rule that the body breaks, each with its field.
    pub fn parse(body: &[u8]) -> Result<Self, InvalidRequest> {
        let members = Members::parse(body).map_err(|error| InvalidRequest(vec![error]))?;
        if let Some(name) = members.repeated() {
            let rule = format!("the field `{}` is there twice", name.escape_debug());
            return Err(InvalidRequest(vec![FieldError::new("body", rule)]));
        }
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
    rules::input(value.get())?;
    Ok(Bytes::copy_from_slice(value.get().as_bytes()))
}

fn read_priority(value: &RawValue) -> Result<Priority, FieldError> {
    let rule = format!("must be a whole number from {} to {}", Priority::LOWEST, Priority::HIGHEST);
    let level: i64 = read("priority", value, &rule)?;
    Priority::new(level).ok_or_else(|| FieldError::new("priority", rule))
}

fn read_attempts(value: &RawValue) -> Result<u16, FieldError> {
    let attempts: u16 = read("max_attempts", value, &rules::attempts_rule())?;
    rules::attempts(attempts)?;
    Ok(attempts)
}

fn read_time(field: &str, value: &RawValue) -> Result<DateTime<Utc>, FieldError> {
    let time: DateTime<Utc> = read(field, value, rules::TIME)?;
    rules::time(field, time)?;
    Ok(time)
}

fn read_tags(value: &RawValue) -> Result<Vec<String>, FieldError> {
    let tags: Vec<String> = read("tags", value, &rules::tags_rule())?;
    rules::tags(&tags)?;
    Ok(tags)
}

fn read_metadata(value: &RawValue) -> Result<serde_json::Value, FieldError> {
    rules::metadata_bytes(value.get().len())?;
    let metadata: serde_json::Value = read("metadata", value, "must be a JSON object that can be stored exactly")?;
    rules::metadata_value(&metadata)?;
    Ok(metadata)
}

fn read_unique(value: &RawValue) -> Result<Unique, FieldError> {
    let body: UniqueBody = read("unique", value, "must be an object with the strings `key` and `for`")?;
    // What is no duration is as wrong as none at all.
    let period = humantime::parse_duration(&body.r#for).unwrap_or_default();
    let unique = Unique { key: body.key, period };
    rules::unique(&unique)?;
    Ok(unique)
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
