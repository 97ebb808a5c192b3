//! API keys: made once, shown once, kept as a hash.
//!
//! A key belongs to a line: the key that was made first, and those that rotations put in its place. At most two of a line
//! are live, so that callers can change over while both count.

mod changes;
mod rotate;
mod scope;
mod secret;
#[cfg(test)]
mod tests;

pub use changes::{Made, Revoked, create, create_once, revoke};
pub use rotate::{NotRotatable, Rotated, Rotation, rotate};
pub use scope::{Payloads, Scope, Scopes, UnknownPayloads, UnknownScope};
pub use secret::{KeySecret, MalformedSecret};

use crate::{Page, Store, callbacks::Reader, error::Result};
use chrono::{DateTime, Utc};
use domain::{KeyId, ProjectId};
use std::num::NonZeroU32;
use uuid::Uuid;

/// The most keys that one page holds.
const LIST_MAX: u32 = 200;

/// A key that is to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub project: ProjectId,
    pub name: String,
    pub scopes: Scopes,
    pub expires_at: Option<DateTime<Utc>>,
    pub payloads: Payloads,
    /// Nothing means what the settings say.
    pub rate: Option<Rate>,
}

/// How many requests each process lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub per_second: NonZeroU32,
    /// At once, after a pause. Nothing means as many as in a second.
    pub burst: Option<NonZeroU32>,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    pub key: KeyId,
    pub project: ProjectId,
    pub scopes: Scopes,
    pub payloads: Payloads,
    pub rate: Option<Rate>,
}

/// A key as a person sees it, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    pub id: KeyId,
    pub project: ProjectId,
    pub project_name: String,
    pub name: String,
    pub prefix: String,
    pub scopes: Vec<String>,
    pub payloads: String,
    pub rate_per_second: Option<i32>,
    pub burst: Option<i32>,
    /// The first key of its line: itself, unless a rotation made it.
    pub line: KeyId,
    pub made_by: Option<KeyId>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    /// Whether it is neither revoked nor past its time.
    pub live: bool,
}

impl NewKey {
    /// A key without an end or limits, which sees everything that its scopes allow.
    pub fn new(project: ProjectId, name: &str, scopes: Scopes) -> Self {
        Self { project, name: name.to_owned(), scopes, expires_at: None, payloads: Payloads::Visible, rate: None }
    }
}

impl Rate {
    /// Reads what is stored; nothing where there is no limit of its own.
    fn stored(per_second: Option<i32>, burst: Option<i32>) -> Option<Self> {
        let count = |number: i32| u32::try_from(number).ok().and_then(NonZeroU32::new);
        Some(Self { per_second: count(per_second?)?, burst: burst.and_then(count) })
    }

    fn columns(rate: Option<Self>) -> (Option<i32>, Option<i32>) {
        let count = |number: NonZeroU32| i32::try_from(number.get()).unwrap_or(i32::MAX);
        (rate.map(|rate| count(rate.per_second)), rate.and_then(|rate| rate.burst).map(count))
    }
}

impl KeyView {
    pub fn scopes(&self) -> Scopes {
        Scopes::known_of(&self.scopes)
    }

    pub fn rate(&self) -> Option<Rate> {
        Rate::stored(self.rate_per_second, self.burst)
    }

    /// `live`, `expired` or `revoked`.
    pub fn state(&self) -> &'static str {
        match (self.revoked_at, self.live) {
            (Some(_), _) => "revoked",
            (None, true) => "live",
            (None, false) => "expired",
        }
    }
}

/// Finds whose secret has this SHA-256, unless the key is revoked or its time is over. Notes the use, to the minute.
///
/// The lookup is by hash, so that its time tells nothing of the secret.
pub async fn authenticate(store: &Store, secret_sha256: &[u8; 32]) -> Result<Option<Authenticated>> {
    let row = sqlx::query!(
        r#"
        with clock as materialized (select falconer.now() as now),
        found as materialized (
            select k.id, k.project_id, k.scopes, k.payloads, k.rate_per_second, k.burst, k.last_used_at
            from falconer.api_keys k, clock
            where k.secret_sha256 = $1 and k.revoked_at is null and (k.expires_at is null or k.expires_at > clock.now)
        ),
        noted as (
            update falconer.api_keys k set last_used_at = clock.now
            from found, clock
            where k.id = found.id and (found.last_used_at is null or found.last_used_at < clock.now - interval '1 minute')
        )
        select id as "id!: KeyId", project_id as "project!: ProjectId", scopes as "scopes!", payloads as "payloads!",
            rate_per_second, burst
        from found
        "#,
        &secret_sha256[..],
    )
    .fetch_optional(&store.pools.api)
    .await?;
    Ok(row.map(|row| Authenticated {
        key: row.id,
        project: row.project,
        scopes: Scopes::known_of(&row.scopes),
        payloads: Payloads::stored(&row.payloads),
        rate: Rate::stored(row.rate_per_second, row.burst),
    }))
}

/// Reads one key; nothing where it is not there or `reader` may not see it.
pub async fn get(store: &Store, reader: Reader, id: KeyId) -> Result<Option<KeyView>> {
    Ok(read(store, reader, Some(id), None, false, 1).await?.pop())
}

/// Lists keys, newest first.
pub async fn list(store: &Store, project: Option<ProjectId>) -> Result<Vec<KeyView>> {
    read(store, project.map_or(Reader::Operator, Reader::Project), None, None, false, i64::MAX).await
}

/// Lists keys whose ids come before `after`, newest first; with `live`, those alone that count.
pub async fn page(
    store: &Store,
    reader: Reader,
    live: bool,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Page<KeyView, Uuid>> {
    let limit = usize::try_from(limit.clamp(1, LIST_MAX)).unwrap_or(1);
    let items = read(store, reader, None, after, live, i64::try_from(limit + 1).unwrap_or(i64::MAX)).await?;
    Ok(Page::cut(items, limit, |key| key.id.0))
}

async fn read(
    store: &Store,
    reader: Reader,
    id: Option<KeyId>,
    after: Option<Uuid>,
    live: bool,
    limit: i64,
) -> Result<Vec<KeyView>> {
    let rows = sqlx::query_as!(
        KeyView,
        r#"select k.id as "id: KeyId", k.project_id as "project: ProjectId", p.name as project_name, k.name, k.prefix,
               k.scopes, k.payloads, k.rate_per_second, k.burst, coalesce(k.line_id, k.id) as "line!: KeyId",
               k.made_by as "made_by: KeyId", k.created_at, k.expires_at, k.revoked_at, k.last_used_at, live as "live!"
           from falconer.api_keys k
           join falconer.projects p on p.id = k.project_id
           cross join (select falconer.now() as now offset 0) as clock
           cross join lateral (
               select k.revoked_at is null and (k.expires_at is null or k.expires_at > clock.now) as live) as l
           where ($1::uuid is null or k.project_id = $1) and ($2::uuid is null or k.id = $2)
             and ($3::uuid is null or k.id < $3) and (live or not $4)
           order by k.id desc limit $5"#,
        reader.project(),
        id.map(|id| id.0),
        after,
        live,
        limit,
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(rows)
}
