//! Calls that were turned away, kept with their cause: bounded, so that a flood of junk fills nothing.

use crate::{Store, error::Result, settle::RejectedCause};
use bytes::Bytes;
use domain::{AttemptId, CallbackId, CredentialId};
use uuid::Uuid;

/// Rejected calls that are kept, newest first.
pub const KEPT_MAX: i64 = 10_000;
/// Bytes of the body of a rejected call that are kept.
pub const BODY_KEPT_MAX: usize = 64 * 1024;

/// A call with a good token that was turned away before it could be settled.
#[derive(Clone, Debug)]
pub struct Rejected {
    pub id: CallbackId,
    pub credential: CredentialId,
    pub attempt: AttemptId,
    pub cause: RejectedCause,
    pub request_id: Option<String>,
    pub user_id: Option<String>,
    pub signed_at: Option<i64>,
    pub signature: Option<String>,
    pub body_bytes: i64,
    /// Nothing where it was too large to be read.
    pub body: Option<Bytes>,
}

/// Keeps rejected calls. Bodies beyond [`BODY_KEPT_MAX`] are not stored.
pub async fn insert(store: &Store, rows: &[Rejected]) -> Result<()> {
    let each = || rows.iter();
    let body = |row: &Rejected| row.body.clone().filter(|body| body.len() <= BODY_KEPT_MAX).map(|body| body.to_vec());
    sqlx::query!(
        "insert into falconer.callbacks (id, received_at, credential_id, attempt_id, request_id, user_id, signed_at,
             signature, disposition, cause, body_bytes, body)
         select n.id, clock.now, n.credential_id, n.attempt_id, n.request_id, n.user_id, n.signed_at, n.signature,
             'rejected', n.cause, n.body_bytes, n.body
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[],
             $9::bigint[], $10::bytea[])
             as n (id, credential_id, attempt_id, request_id, user_id, signed_at, signature, cause, body_bytes, body),
             (select falconer.now() as now offset 0) as clock
         on conflict do nothing",
        &each().map(|row| row.id.0).collect::<Vec<_>>(),
        &each().map(|row| row.credential.0).collect::<Vec<_>>(),
        &each().map(|row| row.attempt.0).collect::<Vec<_>>(),
        &each().map(|row| row.request_id.clone()).collect::<Vec<_>>() as &[Option<String>],
        &each().map(|row| row.user_id.clone()).collect::<Vec<_>>() as &[Option<String>],
        &each().map(|row| row.signed_at).collect::<Vec<_>>() as &[Option<i64>],
        &each().map(|row| row.signature.clone()).collect::<Vec<_>>() as &[Option<String>],
        &each().map(|row| row.cause.as_str().to_owned()).collect::<Vec<_>>(),
        &each().map(|row| row.body_bytes).collect::<Vec<_>>(),
        &each().map(body).collect::<Vec<_>>() as &[Option<Vec<u8>>],
    )
    .execute(&store.pools.callbacks)
    .await?;
    Ok(())
}

/// Deletes the oldest rejected calls beyond [`KEPT_MAX`]. Reads the index `callbacks_by_disposition`.
pub async fn prune(store: &Store) -> Result<u64> {
    let edge: Option<Uuid> = sqlx::query_scalar!(
        "select id from falconer.callbacks where disposition = 'rejected' order by id desc offset $1 limit 1",
        KEPT_MAX,
    )
    .fetch_optional(&store.pools.maintenance)
    .await?;
    let Some(edge) = edge else { return Ok(0) };
    let deleted = sqlx::query!("delete from falconer.callbacks where disposition = 'rejected' and id <= $1", edge)
        .execute(&store.pools.maintenance)
        .await?;
    Ok(deleted.rows_affected())
}
