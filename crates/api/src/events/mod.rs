//! The routes of the feed: events in order, acknowledged by name, and those who read them.

pub(crate) mod consumers;
pub(crate) mod cursor;
pub(crate) mod feed;
pub(crate) mod view;

use crate::Problem;

/// Bytes of a consumer's name.
const NAME_MAX: usize = 63;
const NAME_RULE: &str = "must be 1 to 63 letters, digits, `.`, `_` or `-`, the first a letter or digit";

/// Whether a consumer may have this name.
fn is_name(text: &str) -> bool {
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    text.len() <= NAME_MAX && text.starts_with(|char: char| char.is_ascii_alphanumeric()) && text.chars().all(allowed)
}

/// Reads a member that must be a text.
fn text(members: &mut crate::members::Members<'_>, name: &str, rule: &str) -> Result<String, Problem> {
    let value = members.take(name).and_then(|value| serde_json::from_str::<String>(value.get()).ok());
    value.ok_or_else(|| Problem::field(name, rule))
}

/// Refuses members that nobody has taken.
fn refuse_rest(members: &crate::members::Members<'_>) -> Result<(), Problem> {
    match members.0.first() {
        Some((name, _)) => Err(Problem::field(&name.escape_debug().to_string(), "is not a field of this request")),
        None => Ok(()),
    }
}
