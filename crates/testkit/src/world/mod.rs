//! A whole Falconer and a simulated fal, spoken to from outside.

mod builder;
mod calls;
mod checks;
mod fal_side;

pub use builder::{WorldBuilder, make_key, quick_runs};
pub use calls::Answer;
pub use checks::Finding;
pub use fal_side::{error_body, ok_body};

use crate::{Database, OwnPostgres, Server};
use anyhow::Result;
use simulator::Simulator;
use sqlx::PgPool;
use std::{path::PathBuf, sync::Mutex, time::Duration};
use store::keys::{Scope, Scopes};
use uuid::Uuid;

/// A job's id, as the API writes it.
pub type JobId = Uuid;
/// A callback's id, as the API writes it.
pub type CallbackId = Uuid;

/// The `FALCONER_SECRET` of every world, with which its callback URLs are signed.
pub const CALLBACK_SECRET: &str = "the secret of every world which no other may know";

/// The `FAL_KEY` of every world. It is like no other text, so that it is found wherever it is kept.
pub const FAL_KEY: &str = "key-of-every-world:secret-of-every-world-5b1f7c";

/// Everything that a story needs. Its processes end with it.
///
/// A story ends with [`World::drain_and_check`], or with [`World::check`] where work is left on purpose.
#[derive(Debug)]
pub struct World {
    sim: Simulator,
    servers: Vec<Server>,
    builder: WorldBuilder,
    db: PgPool,
    database: Database,
    client: reqwest::Client,
    api_key: String,
    home: Home,
    /// Jobs that were acknowledged with 202.
    acknowledged: Mutex<Vec<JobId>>,
    /// Requests of which the test itself said how they ended.
    forged: Mutex<Vec<String>>,
    checked: Mutex<bool>,
}

impl World {
    /// Describes a world; see [`WorldBuilder`] for what it is by default.
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// Starts a world with nothing special.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// The simulated fal.
    pub fn sim(&self) -> &Simulator {
        &self.sim
    }

    /// The database, for what cannot be seen over HTTP.
    pub fn db(&self) -> &PgPool {
        &self.db
    }

    /// Where the database is, for programs that share it.
    pub fn database_url(&self) -> &str {
        self.database.url().as_str()
    }

    /// The key that its own calls carry.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The first server.
    pub fn server(&self) -> &Server {
        &self.servers[0]
    }

    /// Every server, in the order of their starts.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The first server, to stop and start it.
    pub fn server_mut(&mut self) -> &mut Server {
        &mut self.servers[0]
    }

    /// The Postgres that belongs to this world alone; see [`WorldBuilder::own_postgres`].
    ///
    /// # Panics
    /// When the world shares its Postgres.
    pub fn postgres(&self) -> OwnPostgres {
        self.database.own().expect("the world was built with own_postgres()").clone()
    }

    /// Starts one more process on the same database, and returns its number.
    pub async fn second_server(&mut self) -> usize {
        let server = self.builder.server(&self.sim, &self.database, &self.home.0, self.servers.len()).await;
        self.servers.push(server.unwrap_or_else(|error| panic!("a second server: {error:#}")));
        self.servers.len() - 1
    }

    /// Kills the first server where it stands.
    pub async fn kill_9(&mut self) {
        self.servers[0].kill_9().await.expect("the server runs");
    }

    /// Starts the first server again, on the ports that it had.
    pub async fn restart(&mut self) {
        self.servers[0].start_again().await.unwrap_or_else(|error| panic!("the restart: {error:#}"));
    }

    /// Asks the first server to stop, and waits until it has; returns how long that took and whether the exit code was 0.
    pub async fn terminate(&mut self) -> (Duration, bool) {
        let began = std::time::Instant::now();
        self.servers[0].signal("TERM").await.expect("the server runs");
        let status = self.servers[0].exited(Duration::from_secs(40)).await.expect("the server drains");
        (began.elapsed(), status.success())
    }

    /// Moves the time of the database, and with it everything that is scheduled.
    ///
    /// The simulator stamps by the machine's clock, so its callbacks are stale once more than five minutes lie between.
    pub async fn advance_clock(&self, by: Duration) {
        sqlx::query("update falconer.clock set ahead_by = ahead_by + make_interval(secs => $1)")
            .bind(by.as_secs_f64())
            .execute(&self.db)
            .await
            .expect("the clock can be moved");
    }

    /// Makes an operator's key, which may see and change what belongs to no project.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn operator_key(&self) -> String {
        let scopes = Scopes::new([Scope::Admin]);
        builder::make_key_of(&self.database, "default", scopes).await.expect("the database takes a key")
    }

    /// Makes a key of another project, to see what it must not see.
    pub async fn stranger_key(&self, project: &str) -> Result<String> {
        builder::make_key(&self.database, project).await
    }
}

/// Where the servers of a world write their logs. Removed with it.
#[derive(Debug)]
struct Home(PathBuf);

impl Drop for Home {
    fn drop(&mut self) {
        // What cannot be removed is the temporary directory's affair.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (number, server) in self.servers.iter().enumerate() {
                eprintln!("--- the log of server {number} ends:\n{}", server.log_tail(60));
            }
        }
        self.servers.clear();
        let checked = *self.checked.lock().expect("no holder panics");
        assert!(checked || std::thread::panicking(), "a story ended without World::drain_and_check or World::check");
    }
}

/// A client for tests: no proxy, and no patience without end. Installs the TLS provider that every client needs.
pub fn http_client() -> reqwest::Client {
    // A second install changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(65)).build();
    client.expect("a plain client can be built")
}
