//! Jobs by the function that callers of SQL have.

use crate::{Store, error::Result};

/// Calls `falconer.submit_job` for the project `default` in a transaction of its own.
pub async fn submit_by_sql(store: &Store, model: &str, input: &str) -> Result<()> {
    sqlx::query("select falconer.submit_job('default', $1, $2::json)")
        .bind(model)
        .bind(input)
        .execute(&store.pools.api)
        .await?;
    Ok(())
}
