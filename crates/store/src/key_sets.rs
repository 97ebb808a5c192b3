//! The last good key set of fal, kept so that a restart while fal's key host is away refuses no genuine callback.

use crate::{Store, error::Result};
use chrono::{DateTime, Utc};

/// A key set as fal sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    pub body: Vec<u8>,
    pub fetched_at: DateTime<Utc>,
}

/// Reads the last set that was fetched from `url`, however old.
pub async fn find(store: &Store, url: &str) -> Result<Option<KeySet>> {
    let row = sqlx::query_as!(KeySet, "select body, fetched_at from falconer.key_sets where url = $1", url)
        .fetch_optional(&store.pools.callbacks)
        .await?;
    Ok(row)
}

/// Keeps a set that was just fetched from `url`.
pub async fn save(store: &Store, url: &str, body: &[u8]) -> Result<()> {
    sqlx::query!(
        "insert into falconer.key_sets as k (url, body, fetched_at) values ($1, $2, clock_timestamp())
         on conflict (url) do update set body = excluded.body, fetched_at = excluded.fetched_at",
        url,
        body,
    )
    .execute(&store.pools.callbacks)
    .await?;
    Ok(())
}
