//! What the fields of a job must be, however they came. `falconer.submit_job` says the same in SQL, and a test compares them.

use super::fields::{FieldError, depth};
use chrono::{DateTime, Utc};
use serde_json::{Value, value::RawValue};
use std::time::Duration;
use store::accept::Unique;

/// As large as the body of a request may be.
const INPUT_BYTES_MAX: usize = 1024 * 1024;
/// Nesting of an input beyond which it is refused; fal's own models stay below ten.
const INPUT_DEPTH_MAX: usize = 64;
const METADATA_BYTES_MAX: usize = 16 * 1024;
/// Nesting beyond which no reader of ours reads.
const METADATA_DEPTH_MAX: usize = 127;
const TAGS_MAX: usize = 20;
const TAG_CHARS_MAX: usize = 64;
const KEY_CHARS_MAX: usize = 255;
const ATTEMPTS_MAX: u16 = 100;
const UNIQUE_PERIOD_MAX: Duration = Duration::from_hours(24 * 30);

pub(super) const TIME: &str = "must be an RFC 3339 time between the years 2000 and 2100";

type Checked = Result<(), FieldError>;

/// Checks a valid JSON text.
pub(super) fn input(text: &str) -> Checked {
    if !text.starts_with('{') {
        return refused("input", "must be a JSON object");
    }
    if text.len() > INPUT_BYTES_MAX {
        return refused("input", format!("must not be larger than {INPUT_BYTES_MAX} bytes"));
    }
    if depth(text) > INPUT_DEPTH_MAX {
        return refused("input", format!("must not nest deeper than {INPUT_DEPTH_MAX} levels"));
    }
    Ok(())
}

/// Checks any bytes. White space around the object is refused: it is no part of it.
pub(super) fn input_bytes(bytes: &[u8]) -> Checked {
    let text: Option<&RawValue> = serde_json::from_slice(bytes).ok();
    text.filter(|text| text.get().len() == bytes.len())
        .map_or_else(|| refused("input", "must be a JSON object"), |text| input(text.get()))
}

pub(super) fn attempts_rule() -> String {
    format!("must be a whole number from 1 to {ATTEMPTS_MAX}")
}

pub(super) fn attempts(attempts: u16) -> Checked {
    if (1..=ATTEMPTS_MAX).contains(&attempts) { Ok(()) } else { refused("max_attempts", attempts_rule()) }
}

pub(super) fn time(field: &str, time: DateTime<Utc>) -> Checked {
    let sane = (946_684_800..4_102_444_800).contains(&time.timestamp());
    if sane { Ok(()) } else { refused(field, TIME) }
}

pub(super) fn tags_rule() -> String {
    format!(
        "must be a list of at most {TAGS_MAX} strings of 1 to {TAG_CHARS_MAX} characters, none of them control characters"
    )
}

pub(super) fn tags(tags: &[String]) -> Checked {
    let fits = |tag: &String| (1..=TAG_CHARS_MAX).contains(&tag.chars().count()) && !tag.chars().any(char::is_control);
    if tags.len() <= TAGS_MAX && tags.iter().all(fits) { Ok(()) } else { refused("tags", tags_rule()) }
}

pub(super) fn metadata(metadata: &Value) -> Checked {
    metadata_bytes(metadata.to_string().len())?;
    metadata_value(metadata)
}

pub(super) fn metadata_bytes(bytes: usize) -> Checked {
    if bytes <= METADATA_BYTES_MAX {
        return Ok(());
    }
    refused("metadata", format!("must not be larger than {METADATA_BYTES_MAX} bytes"))
}

pub(super) fn metadata_value(metadata: &Value) -> Checked {
    if !metadata.is_object() {
        return refused("metadata", "must be a JSON object");
    }
    if depth(&metadata.to_string()) > METADATA_DEPTH_MAX {
        return refused("metadata", "must be a JSON object that can be stored exactly");
    }
    // Postgres' jsonb has no NUL: error 22P05.
    if has_nul(metadata) {
        return refused("metadata", "must not contain the character NUL");
    }
    Ok(())
}

/// The rule of a caller's key, of whatever kind.
pub(super) fn key(field: &str, key: &str) -> Checked {
    if (1..=KEY_CHARS_MAX).contains(&key.chars().count()) && !key.chars().any(char::is_control) {
        return Ok(());
    }
    refused(field, format!("must have 1 to {KEY_CHARS_MAX} characters, none of them control characters"))
}

/// The rules of an idempotency key: those of the header of that name, since all ways in share the keys.
pub(super) fn idempotency_key(key: &str) -> Checked {
    const FIELD: &str = "idempotency_key";
    if !(1..=KEY_CHARS_MAX).contains(&key.chars().count()) {
        return refused(FIELD, format!("must have 1 to {KEY_CHARS_MAX} characters"));
    }
    if !key.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        return refused(FIELD, "must consist of visible ASCII characters");
    }
    Ok(())
}

pub(super) fn unique(unique: &Unique) -> Checked {
    key("unique.key", &unique.key)?;
    if unique.period.is_zero() || unique.period > UNIQUE_PERIOD_MAX {
        return refused("unique.for", "must be a duration such as `10m`, at most 30 days");
    }
    Ok(())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn refused(field: &str, rule: impl Into<String>) -> Checked {
    Err(FieldError::new(field, rule))
}
