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

/// How long Postgres lets a transaction of ours say nothing. Nothing but Postgres is awaited inside one, so whoever does has
/// been stopped, or cannot be heard: then others wait for its locks, the claim's above all, which lets nobody claim.
const SILENT_TRANSACTION: &str = "5s";

/// Connections of each pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSizes {
    pub callbacks: u32,
    pub api: u32,
    pub work: u32,
    pub maintenance: u32,
}

impl PoolSizes {
    /// The fewest connections that can be split.
    pub const TOTAL_MIN: u32 = 5;

    /// Splits `total` connections; each pool gets at least one.
    pub fn of_total(total: u32) -> Self {
        // One listens for wakes and is never given back, so a single one would leave none for health and retention.
        let maintenance = (total / 10).max(2);
        let share = |parts: u32| (total.saturating_sub(maintenance) * parts / 18).max(1);
        Self { callbacks: share(4), api: share(6), work: share(8), maintenance }
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
                    ("idle_in_transaction_session_timeout", SILENT_TRANSACTION),
                    // The hot statements find rows by index, whatever the statistics of a table that was empty a moment
                    // ago say. A plan with a scan that cannot be avoided then looks dear enough to be compiled, at every
                    // run anew, which takes longer than the statement.
                    ("enable_seqscan", if matches!(name, "work" | "callbacks") { "off" } else { "on" }),
                    ("jit", "off"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_split_is_larger_than_the_total_or_leaves_maintenance_alone_with_the_listener() {
        for total in PoolSizes::TOTAL_MIN..=200 {
            let PoolSizes { callbacks, api, work, maintenance } = PoolSizes::of_total(total);

            assert!(callbacks + api + work + maintenance <= total, "{total}");
            assert!(callbacks >= 1 && api >= 1 && work >= 1 && maintenance >= 2, "{total}");
        }
    }

    #[sqlx::test(migrations = false)]
    async fn whoever_falls_silent_inside_a_transaction_loses_its_locks_within_seconds(
        _: PgPoolOptions,
        connect: PgConnectOptions,
    ) {
        let sizes = PoolSizes { callbacks: 1, api: 1, work: 1, maintenance: 1 };
        let Pools { callbacks, api, work, maintenance } = Store::open(&connect, sizes).pools;
        for pool in [callbacks, api, work, maintenance] {
            let limit: String =
                sqlx::query_scalar("show idle_in_transaction_session_timeout").fetch_one(&pool).await.unwrap();

            assert_eq!(limit, "5s");
        }
    }
}
