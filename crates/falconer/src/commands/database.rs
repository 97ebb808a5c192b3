//! The database, for commands that need no server.

use super::exit::{Exit, Refusal};
use crate::{config::Config, serve};
use anyhow::{Context, Result};
use sqlx::Connection;
use store::{PoolSizes, Store, migrate::SchemaState};

/// Connections of a command: one for each kind of work.
const CONNECTIONS: u32 = 4;

/// Opens the database, if its schema is this release's. Durability is the server's affair.
pub(crate) async fn open(config: &Config) -> Result<Store> {
    let mut connection = serve::connect(config).await?;
    let state = store::migrate::state(&mut connection).await.context("failed to read the state of the schema")?;
    connection.close().await.context("failed to close the first connection")?;
    if let SchemaState::Behind { applied, expected } = state {
        let line = format!("the database has {applied} of {expected} migrations: run `falconer migrate`");
        return Err(Refusal::new(Exit::Failed, line).into());
    }
    Ok(Store::open(&serve::database_options(config)?, PoolSizes::of_total(CONNECTIONS)))
}
