//! Opens the database and refuses one that cannot keep the promise.

use crate::config::Config;
use anyhow::{Context, Result, bail};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use std::{
    str::FromStr,
    time::{Duration, Instant},
};
use store::{PoolSizes, Store, migrate::SchemaState};

/// How long a start waits for a database that is starting too.
const PATIENCE: Duration = Duration::from_secs(30);
/// Settings of Postgres without which an acknowledged commit may be lost.
pub(crate) const DURABILITY: [&str; 3] = ["fsync", "synchronous_commit", "full_page_writes"];

/// Connects, checks schema and durability, opens the pools, and makes the coming partitions.
pub(crate) async fn open(config: &Config) -> Result<Store> {
    let options = options(config)?;
    let mut connection = connect(&options).await?;
    match store::migrate::state(&mut connection).await.context("failed to read the state of the schema")? {
        SchemaState::Current => {}
        SchemaState::Behind { applied, expected } => {
            bail!("the database has {applied} of {expected} migrations: run `falconer migrate`, then start again")
        }
    }
    refuse_forgetful(&mut connection, config.secrets.allow_unsafe_durability).await?;
    connection.close().await.context("failed to close the first connection")?;
    let store = Store::open(&options, PoolSizes::of_total(config.database.max_connections));
    // An installation that stood still for weeks has no place for the ids of today, and retention comes only by the clock.
    store::retention::ensure_partitions(&store).await.context("failed to make the coming partitions")?;
    // Before anything is written: in another cluster the order of events begins anew.
    let epoch = store::events::ensure_epoch(&store).await.context("failed to read the epoch of events")?;
    tracing::debug!(epoch, "events are ordered within epoch {epoch}");
    Ok(store)
}

/// Reads where the database is.
pub(crate) fn options(config: &Config) -> Result<PgConnectOptions> {
    let Some(url) = &config.database.url else {
        bail!("no database is set: give database.url or DATABASE_URL, or run `falconer dev`, which brings its own");
    };
    // The URL may hold a password, so the parser's complaint is not shown.
    PgConnectOptions::from_str(url).map_err(|_| anyhow::anyhow!("database.url is not a Postgres URL"))
}

/// Connects, and waits a while for a database that is not there yet.
pub(crate) async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    let began = Instant::now();
    loop {
        match options.connect().await {
            Ok(connection) => return Ok(connection),
            Err(error) if began.elapsed() < PATIENCE && is_temporary(&error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the database is not there yet");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error).context("failed to connect to the database"),
        }
    }
}

fn is_temporary(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // 57P03: the server is starting up or recovering.
        sqlx::Error::Database(refusal) => refusal.code().as_deref() == Some("57P03"),
        _ => false,
    }
}

async fn refuse_forgetful(connection: &mut PgConnection, allowed: bool) -> Result<()> {
    let mut off = Vec::new();
    for name in DURABILITY {
        if store::health::setting(connection, name).await.with_context(|| format!("failed to read {name}"))? == "off" {
            off.push(name);
        }
    }
    if off.is_empty() {
        return Ok(());
    }
    let off = off.join(", ");
    if !allowed {
        bail!(
            "Postgres runs with {off} off and may forget what it has acknowledged; turn it on, or set FALCONER_ALLOW_UNSAFE_DURABILITY=1"
        );
    }
    tracing::warn!(off, "Postgres may forget what it has acknowledged, and that is allowed here");
    Ok(())
}
