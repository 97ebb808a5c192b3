//! Keys that are made and revoked. Each change is one transaction with its row of the audit log.

use super::{KeySecret, NewKey, Rate};
use crate::{
    Store,
    accept::{Idempotency, KEY_LIFE},
    audit::{self, Action, By, Entry},
    callbacks::Reader,
    error::Result,
};
use domain::{KeyId, ProjectId};
use serde_json::json;
use sqlx::PgConnection;

/// What became of a request for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    Created(KeyId),
    /// An earlier request of the same maker made it, and was shown its secret.
    Replayed(KeyId),
    /// The idempotency key was used for another request.
    KeyReused,
}

/// What became of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    Done,
    /// It was revoked before.
    Already,
    NotFound,
}

/// Stores a key whose secret the caller has drawn, and hands to a person once.
pub async fn create(store: &Store, key: &NewKey, secret: &KeySecret, by: &By) -> Result<KeyId> {
    let id = KeyId(crate::fresh_id());
    let mut tx = store.pools.api.begin().await?;
    insert(&mut tx, id, None, key, secret, by, None).await?;
    record_created(&mut tx, id, key, by).await?;
    tx.commit().await?;
    Ok(id)
}

/// As [`create`], where the same maker's promise that equal requests mean one key is kept for [`KEY_LIFE`].
pub async fn create_once(
    store: &Store,
    key: &NewKey,
    secret: &KeySecret,
    by: &By,
    once: Option<&Idempotency>,
) -> Result<Made> {
    let id = KeyId(crate::fresh_id());
    let mut tx = store.pools.api.begin().await?;
    if let Some(made) = made_before(&mut tx, by, once).await? {
        return Ok(made);
    }
    insert(&mut tx, id, None, key, secret, by, once).await?;
    record_created(&mut tx, id, key, by).await?;
    tx.commit().await?;
    Ok(Made::Created(id))
}

/// Revokes a key. Holds everywhere once the callers' caches have run out. A second time changes nothing.
pub async fn revoke(store: &Store, reader: Reader, id: KeyId, by: &By) -> Result<Revoked> {
    let mut tx = store.pools.api.begin().await?;
    let done = sqlx::query!(
        r#"update falconer.api_keys set revoked_at = falconer.now()
           where id = $1 and revoked_at is null and ($2::uuid is null or project_id = $2)
           returning project_id as "project: ProjectId""#,
        id.0,
        reader.project(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = done else {
        let is_there = sqlx::query_scalar!(
            r#"select exists (select from falconer.api_keys
                   where id = $1 and ($2::uuid is null or project_id = $2)) as "is_there!""#,
            id.0,
            reader.project(),
        )
        .fetch_one(&mut *tx)
        .await?;
        return Ok(if is_there { Revoked::Already } else { Revoked::NotFound });
    };
    audit::record(&mut tx, by, &Entry::done(Action::KeyRevoked, Some(row.project), id)).await?;
    tx.commit().await?;
    Ok(Revoked::Done)
}

/// Finds what the same maker's earlier request made. Two at once wait for each other here.
pub(super) async fn made_before(tx: &mut PgConnection, by: &By, once: Option<&Idempotency>) -> Result<Option<Made>> {
    let (Some(maker), Some(once)) = (by.key(), once) else { return Ok(None) };
    // The maker's row stands for its idempotency keys: without a lock two equal requests would both find nothing.
    sqlx::query!("select id from falconer.api_keys where id = $1 for no key update", maker.0)
        .fetch_optional(&mut *tx)
        .await?;
    sqlx::query!(
        "update falconer.api_keys set idempotency_key = null, idempotency_sha256 = null
         where made_by = $1 and idempotency_key = $2 and created_at <= falconer.now() - make_interval(secs => $3)",
        maker.0,
        once.key,
        KEY_LIFE.as_secs_f64(),
    )
    .execute(&mut *tx)
    .await?;
    let held = sqlx::query!(
        r#"select id as "id: KeyId", idempotency_sha256 as "sha256!" from falconer.api_keys
           where made_by = $1 and idempotency_key = $2"#,
        maker.0,
        once.key,
    )
    .fetch_optional(&mut *tx)
    .await?;
    Ok(held.map(|held| if held.sha256 == once.fingerprint { Made::Replayed(held.id) } else { Made::KeyReused }))
}

/// Writes the row of a key; `line` is the first key of its line, where that is another.
pub(super) async fn insert(
    tx: &mut PgConnection,
    id: KeyId,
    line: Option<KeyId>,
    key: &NewKey,
    secret: &KeySecret,
    by: &By,
    once: Option<&Idempotency>,
) -> Result<()> {
    let (rate_per_second, burst) = Rate::columns(key.rate);
    let once = once.filter(|_| by.key().is_some());
    sqlx::query!(
        "insert into falconer.api_keys (id, project_id, name, prefix, secret_sha256, scopes, created_at, expires_at, line_id,
             payloads, rate_per_second, burst, made_by, idempotency_key, idempotency_sha256)
         values ($1, $2, $3, $4, $5, $6, falconer.now(), $7, $8, $9, $10, $11, $12, $13, $14)",
        id.0,
        key.project.0,
        key.name,
        secret.prefix(),
        &secret.sha256()[..],
        &key.scopes.names(),
        key.expires_at,
        line.map(|id| id.0),
        key.payloads.as_str(),
        rate_per_second,
        burst,
        by.key().map(|id| id.0),
        once.map(|once| once.key.as_str()),
        once.map(|once| &once.fingerprint[..]),
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn record_created(tx: &mut PgConnection, id: KeyId, key: &NewKey, by: &By) -> Result<()> {
    let detail = json!({
        "name": key.name,
        "scopes": key.scopes.names(),
        "payloads": key.payloads.as_str(),
        "expires_at": key.expires_at,
    });
    audit::record(tx, by, &Entry::done(Action::KeyCreated, Some(key.project), id).with(detail)).await
}
