//! API keys: made once, shown once, kept as a hash.

mod scope;
mod secret;
#[cfg(test)]
mod tests;

pub use scope::{Scope, Scopes, UnknownScope};
pub use secret::{KeySecret, MalformedSecret};

use crate::{Store, error::Result};
use chrono::{DateTime, Utc};
use domain::{KeyId, ProjectId};

/// A key that is to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub project: ProjectId,
    pub name: String,
    pub scopes: Scopes,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    pub key: KeyId,
    pub project: ProjectId,
    pub scopes: Scopes,
}

/// A key as a person sees it, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    pub id: KeyId,
    pub project: ProjectId,
    pub name: String,
    pub prefix: String,
    pub scopes: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Stores a key whose secret the caller has drawn, and hands to a person once.
pub async fn create(store: &Store, key: &NewKey, secret: &KeySecret) -> Result<KeyId> {
    let id = KeyId(crate::fresh_id());
    sqlx::query!(
        "insert into falconer.api_keys (id, project_id, name, prefix, secret_sha256, scopes, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, falconer.now(), $7)",
        id.0,
        key.project.0,
        key.name,
        secret.prefix(),
        &secret.sha256()[..],
        &key.scopes.names(),
        key.expires_at,
    )
    .execute(&store.pools.api)
    .await?;
    Ok(id)
}

/// Finds whose secret has this SHA-256, unless the key is revoked or its time is over. Notes the use, to the minute.
///
/// The lookup is by hash, so that its time tells nothing of the secret.
pub async fn authenticate(store: &Store, secret_sha256: &[u8; 32]) -> Result<Option<Authenticated>> {
    let row = sqlx::query!(
        r#"
        with clock as materialized (select falconer.now() as now),
        found as materialized (
            select k.id, k.project_id, k.scopes, k.last_used_at
            from falconer.api_keys k, clock
            where k.secret_sha256 = $1 and k.revoked_at is null and (k.expires_at is null or k.expires_at > clock.now)
        ),
        noted as (
            update falconer.api_keys k set last_used_at = clock.now
            from found, clock
            where k.id = found.id and (found.last_used_at is null or found.last_used_at < clock.now - interval '1 minute')
        )
        select id as "id!: KeyId", project_id as "project!: ProjectId", scopes as "scopes!" from found
        "#,
        &secret_sha256[..],
    )
    .fetch_optional(&store.pools.api)
    .await?;
    Ok(row.map(|row| Authenticated { key: row.id, project: row.project, scopes: Scopes::known_of(&row.scopes) }))
}

/// Revokes a key. Answers whether there was one to revoke. Holds everywhere once the callers' caches have run out.
pub async fn revoke(store: &Store, project: Option<ProjectId>, id: KeyId) -> Result<bool> {
    let done = sqlx::query!(
        "update falconer.api_keys set revoked_at = falconer.now()
         where id = $1 and revoked_at is null and ($2::uuid is null or project_id = $2)",
        id.0,
        project.map(|id| id.0),
    )
    .execute(&store.pools.api)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Lists keys, newest first.
pub async fn list(store: &Store, project: Option<ProjectId>) -> Result<Vec<KeyView>> {
    let rows = sqlx::query_as!(
        KeyView,
        r#"select id as "id: KeyId", project_id as "project: ProjectId", name, prefix, scopes, created_at, expires_at,
               revoked_at, last_used_at
           from falconer.api_keys where $1::uuid is null or project_id = $1 order by id desc"#,
        project.map(|id| id.0),
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(rows)
}
