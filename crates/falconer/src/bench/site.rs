//! Where a measurement happens: a database of its own, and the server under measurement as a process of its own.

use crate::{config::Config, os_user, random};
use anyhow::{Context, Result, bail};
use dev_postgres::{Cluster, ClusterOptions, Durability};
use domain::{CredentialId, ProjectId};
use simulator::Simulator;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use std::{net::SocketAddr, path::Path, process::Stdio, str::FromStr, time::Duration};
use store::{
    PoolSizes, Store, bench,
    keys::{self, KeySecret, NewKey, Scopes},
};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};
use url::Url;

/// Signs callback URLs of a measurement. It guards nothing.
pub(super) const SECRET: &str = "a secret of measurements that guards nothing";
const DATABASE: &str = "falconer_bench";
/// For the server to be ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Postgres to make databases in.
pub(super) struct Site {
    admin_url: Url,
    /// Ours, where no other was named. Stops when it is dropped.
    _cluster: Option<Cluster>,
}

impl Site {
    /// Uses the configured database's server, or a private cluster that keeps every promise of durability.
    pub(super) async fn open(config: &Config) -> Result<Self> {
        if let Some(url) = &config.database.url {
            let admin_url = Url::parse(url).map_err(|_| anyhow::anyhow!("database.url is not a URL"))?;
            return Ok(Self { admin_url, _cluster: None });
        }
        let cluster = tokio::task::spawn_blocking(start_cluster).await.context("the cluster's start panicked")??;
        let admin_url = Url::parse(&cluster.url("postgres")).context("the cluster's URL")?;
        Ok(Self { admin_url, _cluster: Some(cluster) })
    }

    /// Makes a fresh database with the schema, and opens it.
    pub(super) async fn round(&self) -> Result<Round> {
        bench::create_database(self.admin_url.as_str(), DATABASE).await.context("failed to create a database")?;
        let mut url = self.admin_url.clone();
        url.set_path(DATABASE);
        let mut connection = PgConnection::connect(url.as_str()).await.context("failed to connect")?;
        store::migrate::run(&mut connection).await.context("failed to migrate")?;
        connection.close().await?;
        let options = PgConnectOptions::from_str(url.as_str())?;
        let store = Store::open(&options, PoolSizes::of_total(20));
        bench::count_statements(&store).await;
        Ok(Round { url, store })
    }

    /// Drops what a round made.
    pub(super) async fn clear(&self, round: Round) -> Result<()> {
        round.store.close().await;
        bench::drop_database(self.admin_url.as_str(), DATABASE).await.context("failed to drop the database")
    }
}

fn start_cluster() -> Result<Cluster> {
    let dir = dev_postgres::usable_dir(&std::env::temp_dir().join("falconer-bench"))?;
    let settings = [
        ("shared_buffers", "1GB"),
        ("max_wal_size", "4GB"),
        ("checkpoint_timeout", "30min"),
        ("max_connections", "200"),
        ("shared_preload_libraries", "pg_stat_statements"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Cluster::start(ClusterOptions { dir, durability: Durability::Durable, settings, port: 5432 })
}

/// A fresh database.
pub(super) struct Round {
    url: Url,
    pub(super) store: Store,
}

/// How the server under measurement is set.
pub(super) struct ServerOptions<'a> {
    pub(super) roles: &'a str,
    pub(super) slots: u32,
    /// Where fal is, for the submits.
    pub(super) queue_url: String,
    /// Whose keys sign, and whose history answers.
    pub(super) fal: &'a Simulator,
    /// Chosen by whoever has to know it beforehand.
    pub(super) callback_addr: SocketAddr,
}

impl Round {
    /// Starts `falconer serve` on this database, and waits until it is ready.
    pub(super) async fn serve(&self, options: ServerOptions<'_>) -> Result<Server> {
        let (api, metrics) = (free_addr().await?, free_addr().await?);
        let log = std::env::temp_dir().join("falconer-bench-server.log");
        let child = Command::new(std::env::current_exe().context("failed to find this program")?)
            .args(["serve", "--roles", options.roles])
            .current_dir(Path::new("/"))
            .env("DATABASE_URL", self.url.as_str())
            .env("FALCONER_SECRET", SECRET)
            .env("FAL_KEY", "bench:bench")
            .env("FALCONER_SERVER__API_ADDR", api.to_string())
            .env("FALCONER_SERVER__CALLBACK_ADDR", options.callback_addr.to_string())
            .env("FALCONER_SERVER__METRICS_ADDR", metrics.to_string())
            .env("FALCONER_FAL__QUEUE_URL", options.queue_url)
            .env("FALCONER_FAL__PLATFORM_URL", options.fal.platform_url())
            .env("FALCONER_FAL__JWKS_URL", options.fal.jwks_url())
            .env("FALCONER_FAL__USER_ID", options.fal.user_id())
            .env("FALCONER_FAL__SLOTS", options.slots.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).context("failed to make the server's log")?)
            .kill_on_drop(true)
            .spawn()
            .context("failed to start the server under measurement")?;
        let mut server = Server { child, api, callbacks: options.callback_addr };
        server.wait_until_ready(metrics).await.with_context(|| format!("see {}", log.display()))?;
        Ok(server)
    }

    /// Makes an API key, and returns the header that carries it.
    pub(super) async fn authorization(&self) -> Result<String> {
        self.key(ProjectId::DEFAULT).await
    }

    /// A header value that authenticates a project of that name, which is made where it is missing.
    pub(super) async fn authorization_in(&self, project: &str) -> Result<String> {
        self.key(store::projects::find_or_insert(&self.store, project).await?).await
    }

    async fn key(&self, project: ProjectId) -> Result<String> {
        let secret = KeySecret::of_random(&random::bytes());
        let key = NewKey::new(project, "bench", Scopes::of_project());
        keys::create(&self.store, &key, &secret, &os_user::by()).await?;
        Ok(format!("Bearer {}", secret.expose()))
    }

    /// Pins the account that callbacks are signed for, so that they count.
    pub(super) async fn pin(&self, fal: &Simulator, slots: u32) -> Result<()> {
        store::credentials::configure(&self.store, CredentialId::DEFAULT, slots, Some(fal.user_id())).await?;
        Ok(())
    }
}

/// The server under measurement. It is killed when it is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) api: SocketAddr,
    pub(super) callbacks: SocketAddr,
}

impl Server {
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it at once: its database is about to be dropped.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("failed to stop the server under measurement")
    }

    async fn wait_until_ready(&mut self, metrics: SocketAddr) -> Result<()> {
        let ready = async {
            loop {
                if let Some(status) = self.child.try_wait()? {
                    bail!("the server under measurement ended ({status})");
                }
                if TcpStream::connect(metrics).await.is_ok() {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.context("the server under measurement did not start in time")?
    }
}

/// An address of this machine that is free at the moment.
pub(super) async fn free_addr() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("failed to find a free port")?;
    Ok(listener.local_addr()?)
}
