//! Whether the database answers, and whether its schema is ours.

use crate::{
    Store,
    error::Result,
    migrate::{self, SchemaState},
};

/// Asks the database for a sign of life, within the pool's own time to wait for a connection.
pub async fn ping(store: &Store) -> Result<()> {
    sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(&store.pools.maintenance).await?;
    Ok(())
}

/// Compares the schema with what this binary expects.
pub async fn schema_state(store: &Store) -> Result<SchemaState> {
    let mut connection = store.pools.maintenance.acquire().await?;
    migrate::state(&mut connection).await
}

/// Reads one setting of the server.
pub async fn setting(connection: &mut sqlx::PgConnection, name: &str) -> Result<String> {
    let value = sqlx::query_scalar!(r#"select current_setting($1) as "value!""#, name).fetch_one(connection).await?;
    Ok(value)
}
