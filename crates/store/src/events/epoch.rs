//! The cluster that positions belong to.

use crate::{Store, error::Result};

/// Begins a new epoch where the database was moved to another cluster, whose transactions have other numbers: without it,
/// events would lie behind positions that were handed out. Answers the epoch in force. Safe to repeat and to run from several
/// processes; called before anything is written.
pub async fn ensure_epoch(store: &Store) -> Result<i16> {
    let epoch = sqlx::query_scalar!(r#"select falconer.ensure_event_epoch() as "epoch!""#)
        .fetch_one(&store.pools.maintenance)
        .await?;
    Ok(epoch)
}
