//! Connections, in pools that cannot starve each other.

use crate::error::Result;
use sqlx::{
    ConnectOptions, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::time::Duration;

/// How long a caller waits for a connection before it hears that the database is unavailable. fal waits 15 s for the
/// answer to a callback, so a 503 must come well before.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(1500);

/// Connections of each pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSizes {
    pub callbacks: u32,
    pub api: u32,
    pub work: u32,
    pub maintenance: u32,
}

impl PoolSizes {
    /// Splits `total` connections; each pool gets at least one.
    pub fn of_total(total: u32) -> Self {
        let share = |parts: u32| (total * parts / 20).max(1);
        Self { callbacks: share(4), api: share(6), work: share(8), maintenance: share(2) }
    }
}

/// One pool for each kind of work, so that a flood of one leaves the others their connections.
#[derive(Clone, Debug)]
pub struct Pools {
    pub callbacks: PgPool,
    pub api: PgPool,
    pub work: PgPool,
    pub maintenance: PgPool,
}

/// The database, as every role holds it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pub pools: Pools,
}

impl Store {
    /// Opens the pools; connections are made when first needed, so this does not fail while the database is away.
    pub fn open(options: &PgConnectOptions, sizes: PoolSizes) -> Self {
        let pool = |name: &str, connections: u32, statement_timeout: &str| {
            let options = options
                .clone()
                .application_name(&format!("falconer {name}"))
                // The plans of the hot statements do not depend on their values; planning over partitions is dear.
                .options([
                    ("plan_cache_mode", "force_generic_plan"),
                    ("statement_timeout", statement_timeout),
                    ("lock_timeout", "10s"),
                    ("idle_in_transaction_session_timeout", "30s"),
                    ("enable_seqscan", if name == "work" { "off" } else { "on" }),
                    // Dead peers are noticed: see sqlx issue 4349.
                    ("tcp_keepalives_idle", "15"),
                    ("tcp_user_timeout", "20000"),
                ])
                .log_statements(tracing::log::LevelFilter::Off)
                .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1));
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .connect_lazy_with(options)
        };
        Self {
            pools: Pools {
                callbacks: pool("callbacks", sizes.callbacks, "5s"),
                api: pool("api", sizes.api, "10s"),
                work: pool("work", sizes.work, "15s"),
                maintenance: pool("maintenance", sizes.maintenance, "60s"),
            },
        }
    }

    /// Reads the database's time, which is the only one that anything is scheduled by.
    pub async fn now(&self) -> Result<chrono::DateTime<chrono::Utc>> {
        let now = sqlx::query_scalar!(r#"select falconer.now() as "now!""#).fetch_one(&self.pools.api).await?;
        Ok(now)
    }

    /// Waits until every connection is given back, then closes them.
    pub async fn close(&self) {
        for pool in [&self.pools.callbacks, &self.pools.api, &self.pools.work, &self.pools.maintenance] {
            pool.close().await;
        }
    }
}
