//! What is asked for, read member by member so that an error names its place.

use crate::{
    ApiState, Problem,
    auth::Caller,
    members::{Members, members},
};
use chrono::{DateTime, Utc};
use domain::ProjectId;
use serde::{Deserialize, de::DeserializeOwned};
use std::{num::NonZeroU32, time::Duration};
use store::{
    callbacks::Reader,
    keys::{NewKey, Rate, Scope, Scopes},
    projects,
};
use utoipa::ToSchema;

const NAME_MAX: usize = 100;
const RATE_MAX: u32 = 1_000_000;
const GRACE_DEFAULT: Duration = Duration::from_hours(24);
const GRACE_MAX: Duration = Duration::from_hours(24 * 30);

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewKey, example = new_key_example)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the type describes what is read by hand, and is never built")]
pub(crate) struct NewKeyRequest {
    /// What tells it from others.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// A project's name or id. By default the project of the key that asks.
    project: Option<String>,
    /// What it allows. By default all that a project may do, which is all but `admin`.
    #[schema(min_items = 1)]
    scopes: Option<Vec<KeyScope>>,
    /// When it ends to count. By default never.
    expires_at: Option<DateTime<Utc>>,
    /// Whether it sees inputs, metadata, results, callbacks and fal's words.
    payloads: Option<KeyPayloads>,
    /// Requests in a second, for each process. By default what the server's settings say.
    #[schema(minimum = 1, maximum = 1_000_000)]
    rate_per_second: Option<u32>,
    /// Requests at once after a pause. By default as many as in a second.
    #[schema(minimum = 1, maximum = 1_000_000)]
    burst: Option<u32>,
}

/// How a key is rotated.
#[derive(Deserialize, ToSchema)]
#[schema(as = KeyRotation, example = rotation_example)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the type describes what is read by hand, and is never built")]
pub(crate) struct RotateRequest {
    /// How long the old secret counts on, at most 30 days. `0s` ends it at once.
    #[schema(default = "24h", example = "24h")]
    grace: Option<String>,
    /// When the new key ends to count. By default as the old one would have.
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyScope {
    Submit,
    Read,
    Operate,
    Money,
    Admin,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyPayloads {
    Visible,
    Hidden,
}

/// A rotation as it was asked for.
pub(super) struct Asked {
    pub(super) grace: Duration,
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// Reads the key that is to be made.
pub(super) async fn new_key(api: &ApiState, caller: &Caller, body: &[u8]) -> Result<NewKey, Problem> {
    let mut members = members(body)?;
    let name: Option<String> = take(&mut members, "name", "must be a text")?;
    let project: Option<String> = take(&mut members, "project", "must be a project's name or id")?;
    let scopes = scopes(&mut members)?;
    let expires_at = end(api, &mut members).await?;
    let payloads: Option<String> = take(&mut members, "payloads", "must be visible or hidden")?;
    let rate = rate(&mut members)?;
    refuse_rest(&members)?;
    let usable = |name: &String| {
        !name.trim().is_empty() && name.chars().count() <= NAME_MAX && !name.chars().any(char::is_control)
    };
    let rule = format!("must have 1 to {NAME_MAX} characters, none of them a control character");
    let name = name.filter(usable).ok_or_else(|| Problem::field("name", rule))?;
    let payloads = match payloads {
        Some(text) => text.parse().map_err(|_| Problem::field("payloads", "must be visible or hidden"))?,
        // Whoever sees no payloads makes keys that see none.
        None => caller.payloads,
    };
    let project = match project {
        Some(text) => find_project(api, &text).await?,
        None => caller.project,
    };
    Ok(NewKey { project, name, scopes, expires_at, payloads, rate })
}

/// Reads how a key is to be rotated.
pub(super) async fn rotation(api: &ApiState, body: &[u8]) -> Result<Asked, Problem> {
    const RULE: &str = "must be a duration such as `24h`, at most 30 days";
    let mut members = members(body)?;
    let grace: Option<String> = take(&mut members, "grace", RULE)?;
    let expires_at = end(api, &mut members).await?;
    refuse_rest(&members)?;
    let grace = match grace {
        None => GRACE_DEFAULT,
        Some(text) => humantime::parse_duration(&text)
            .ok()
            .filter(|grace| *grace <= GRACE_MAX)
            .ok_or_else(|| Problem::field("grace", RULE))?,
    };
    Ok(Asked { grace, expires_at })
}

async fn find_project(api: &ApiState, text: &str) -> Result<ProjectId, Problem> {
    let missing = || Problem::field("project", "must be the name or id of a project that exists");
    if text.contains('\0') {
        return Err(missing());
    }
    Ok(projects::get(&api.store, Reader::Operator, text).await?.ok_or_else(missing)?.id)
}

fn scopes(members: &mut Members<'_>) -> Result<Scopes, Problem> {
    const RULE: &str = "must be a list of submit, read, operate, money and admin, with at least one of them";
    let Some(names) = take::<Vec<String>>(members, "scopes", RULE)? else { return Ok(Scopes::of_project()) };
    let scopes: Result<Vec<Scope>, _> = names.iter().map(|name| name.parse()).collect();
    let scopes = scopes.ok().map(Scopes::new).filter(|scopes| !scopes.is_empty());
    scopes.ok_or_else(|| Problem::field("scopes", RULE))
}

async fn end(api: &ApiState, members: &mut Members<'_>) -> Result<Option<DateTime<Utc>>, Problem> {
    const RULE: &str = "must be an RFC 3339 time that has not passed";
    let Some(text) = take::<String>(members, "expires_at", RULE)? else { return Ok(None) };
    let refused = || Problem::field("expires_at", RULE);
    let at = DateTime::parse_from_rfc3339(&text).map_err(|_| refused())?.to_utc();
    if at <= api.store.now().await? {
        return Err(refused());
    }
    Ok(Some(at))
}

fn rate(members: &mut Members<'_>) -> Result<Option<Rate>, Problem> {
    let rule = format!("must be a whole number from 1 to {RATE_MAX}");
    let mut count = |name: &str| -> Result<Option<NonZeroU32>, Problem> {
        let Some(number) = take::<u32>(members, name, &rule)? else { return Ok(None) };
        let number = NonZeroU32::new(number).filter(|number| number.get() <= RATE_MAX);
        number.map(Some).ok_or_else(|| Problem::field(name, rule.clone()))
    };
    match (count("rate_per_second")?, count("burst")?) {
        (None, Some(_)) => Err(Problem::field("burst", "needs a rate_per_second")),
        (per_second, burst) => Ok(per_second.map(|per_second| Rate { per_second, burst })),
    }
}

/// Takes a member that must read as `T`.
fn take<T: DeserializeOwned>(members: &mut Members<'_>, name: &str, rule: &str) -> Result<Option<T>, Problem> {
    let Some(value) = members.take(name) else { return Ok(None) };
    serde_json::from_str(value.get()).map(Some).map_err(|_| Problem::field(name, rule))
}

fn refuse_rest(members: &Members<'_>) -> Result<(), Problem> {
    match members.0.first() {
        Some((name, _)) => Err(Problem::field(&name.escape_debug().to_string(), "is not a field of this request")),
        None => Ok(()),
    }
}

fn new_key_example() -> serde_json::Value {
    serde_json::json!({"name": "dashboard", "scopes": ["read"], "payloads": "hidden", "rate_per_second": 20})
}

fn rotation_example() -> serde_json::Value {
    serde_json::json!({"grace": "24h"})
}
