//! How a key looks on a terminal, and as the JSON that the API gives of it.

use super::second;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use store::keys::{KeySecret, KeyView};

pub(super) const HEADING: [&str; 9] =
    ["ID", "PROJECT", "NAME", "KEY", "SCOPES", "PAYLOADS", "CREATED", "LAST USED", "STATE"];

pub(super) fn json(key: &KeyView) -> serde_json::Result<Box<RawValue>> {
    to_raw_value(&value(key))
}

/// With its secret, which nothing shows later.
pub(super) fn json_of_new(key: &KeyView, secret: &KeySecret) -> serde_json::Result<Box<RawValue>> {
    let mut value = value(key);
    value["secret"] = secret.expose().into();
    to_raw_value(&value)
}

pub(super) fn row(key: &KeyView) -> Vec<String> {
    vec![
        key.id.to_string(),
        key.project_name.clone(),
        key.name.clone(),
        format!("{}…", key.prefix),
        key.scopes.join(","),
        key.payloads.clone(),
        second(key.created_at),
        key.last_used_at.map_or_else(|| "never".to_owned(), second),
        state(key),
    ]
}

pub(super) fn rows(key: &KeyView) -> Vec<(&'static str, String)> {
    let rate = key.rate_per_second.map(|per_second| match key.burst {
        Some(burst) => format!("{per_second} per second, {burst} at once"),
        None => format!("{per_second} per second"),
    });
    vec![
        ("id", key.id.to_string()),
        ("project", format!("{} ({})", key.project_name, key.project)),
        ("name", key.name.clone()),
        ("key", format!("{}…", key.prefix)),
        ("scopes", key.scopes.join(",")),
        ("payloads", key.payloads.clone()),
        ("rate", rate.unwrap_or_else(|| "as the settings say".to_owned())),
        ("line", key.line.to_string()),
        ("made by", key.made_by.map_or_else(|| "the command line".to_owned(), |id| id.to_string())),
        ("created", second(key.created_at)),
        ("last used", key.last_used_at.map_or_else(|| "never".to_owned(), second)),
        ("state", state(key)),
    ]
}

fn value(key: &KeyView) -> Value {
    json!({
        "id": key.id, "project_id": key.project, "project": key.project_name, "name": key.name, "prefix": key.prefix,
        "scopes": key.scopes, "payloads": key.payloads, "rate_per_second": key.rate_per_second, "burst": key.burst,
        "state": key.state(), "line_id": key.line, "made_by": key.made_by, "created_at": key.created_at,
        "expires_at": key.expires_at, "revoked_at": key.revoked_at, "last_used_at": key.last_used_at,
    })
}

fn state(key: &KeyView) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {}", second(at)),
        (None, Some(at)) if key.live => format!("until {}", second(at)),
        (None, Some(at)) => format!("expired {}", second(at)),
        (None, None) => "counts".to_owned(),
    }
}
