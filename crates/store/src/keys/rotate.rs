//! A new secret for what a key was, while the old one counts a little longer.

use super::{KeySecret, Made, NewKey, Payloads, Rate, Scopes, changes};
use crate::{
    Store,
    accept::Idempotency,
    audit::{self, Action, By, Entry},
    callbacks::Reader,
    error::Result,
};
use chrono::{DateTime, Utc};
use domain::{KeyId, ProjectId};
use serde_json::json;
use sqlx::PgConnection;
use std::time::Duration;

/// Keys of one line that may be live at once.
const LIVE_MAX: usize = 2;

/// How a key is to be rotated.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    pub key: KeyId,
    /// How long the old secret counts on. Zero ends it at once.
    pub grace: Duration,
    /// When the new one ends to count. Nothing means as the old one would have.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What became of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotated {
    Done(KeyId),
    /// An earlier request of the same maker made this key, and was shown its secret.
    Replayed(KeyId),
    /// The idempotency key was used for another request.
    KeyReused,
    NotFound,
    Refused(NotRotatable),
}

/// Why a key is not rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRotatable {
    #[error("it is revoked or its time is over")]
    NotLive,
    #[error("it was rotated before, and its successor is the one to rotate")]
    HasSuccessor,
    #[error("two secrets of its line count already, and this would make a third")]
    TwoLive,
}

/// One key of the line.
struct Row {
    id: KeyId,
    project: ProjectId,
    line: KeyId,
    name: String,
    scopes: Vec<String>,
    payloads: String,
    rate_per_second: Option<i32>,
    burst: Option<i32>,
    expires_at: Option<DateTime<Utc>>,
    live: bool,
}

/// Makes a key with the same name, project, scopes and limits, and lets the old one count until the grace is over.
pub async fn rotate(
    store: &Store,
    reader: Reader,
    rotation: &Rotation,
    secret: &KeySecret,
    by: &By,
    once: Option<&Idempotency>,
) -> Result<Rotated> {
    let mut tx = store.pools.api.begin().await?;
    match changes::made_before(&mut tx, by, once).await? {
        Some(Made::Replayed(id) | Made::Created(id)) => return Ok(Rotated::Replayed(id)),
        Some(Made::KeyReused) => return Ok(Rotated::KeyReused),
        None => {}
    }
    let line = lock_line(&mut tx, reader, rotation.key).await?;
    let Some(old) = line.iter().find(|row| row.id == rotation.key) else { return Ok(Rotated::NotFound) };
    if let Some(why) = refusal(&line, old, rotation.grace) {
        return Ok(Rotated::Refused(why));
    }
    let id = KeyId(crate::fresh_id());
    let key = NewKey {
        project: old.project,
        name: old.name.clone(),
        scopes: Scopes::known_of(&old.scopes),
        expires_at: rotation.expires_at.or(old.expires_at),
        payloads: Payloads::stored(&old.payloads),
        rate: Rate::stored(old.rate_per_second, old.burst),
    };
    changes::insert(&mut tx, id, Some(old.line), &key, secret, by, once).await?;
    let until = end(&mut tx, old.id, rotation.grace).await?;
    let detail = json!({ "successor": id, "counts_until": until });
    audit::record(&mut tx, by, &Entry::done(Action::KeyRotated, Some(old.project), old.id).with(detail)).await?;
    tx.commit().await?;
    Ok(Rotated::Done(id))
}

/// Locks all keys of the line of `id` in their order, oldest first. The first key stands for the line, so that a second
/// rotation waits, and then sees what the first one made.
async fn lock_line(tx: &mut PgConnection, reader: Reader, id: KeyId) -> Result<Vec<Row>> {
    let first = sqlx::query_scalar!(
        r#"select coalesce(line_id, id) as "line!" from falconer.api_keys
           where id = $1 and ($2::uuid is null or project_id = $2)"#,
        id.0,
        reader.project(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(first) = first else { return Ok(Vec::new()) };
    sqlx::query!("select id from falconer.api_keys where id = $1 for no key update", first)
        .fetch_optional(&mut *tx)
        .await?;
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: KeyId", project_id as "project: ProjectId", coalesce(line_id, id) as "line!: KeyId", name, scopes,
               payloads, rate_per_second, burst, expires_at,
               revoked_at is null and (expires_at is null or expires_at > falconer.now()) as "live!"
           from falconer.api_keys where coalesce(line_id, id) = $1 order by created_at, id"#,
        first,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows)
}

fn refusal(line: &[Row], old: &Row, grace: Duration) -> Option<NotRotatable> {
    if !old.live {
        return Some(NotRotatable::NotLive);
    }
    // A successor that was revoked or has run out leaves the old one to be rotated again.
    let successor = line.iter().skip_while(|row| row.id != old.id).skip(1).any(|row| row.live);
    if successor {
        return Some(NotRotatable::HasSuccessor);
    }
    let live_others = line.iter().filter(|row| row.live && row.id != old.id).count();
    let live_then = live_others + 1 + usize::from(!grace.is_zero());
    (live_then > LIVE_MAX).then_some(NotRotatable::TwoLive)
}

/// Ends a key when the grace is over, unless it ends sooner. Answers when that is.
async fn end(tx: &mut PgConnection, id: KeyId, grace: Duration) -> Result<Option<DateTime<Utc>>> {
    let until = sqlx::query_scalar!(
        "update falconer.api_keys
         set expires_at = least(expires_at, falconer.now() + make_interval(secs => $2))
         where id = $1 returning expires_at",
        id.0,
        grace.as_secs_f64(),
    )
    .fetch_one(tx)
    .await?;
    Ok(until)
}
