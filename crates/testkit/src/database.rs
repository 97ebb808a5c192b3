//! A migrated database for each world, copied from a template that is made once for each cluster.

use crate::OwnPostgres;
use anyhow::{Context as _, Result};
use dev_postgres::Cluster;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool, postgres::PgConnectOptions};
use std::{
    process::{ExitStatus, Stdio},
    str::FromStr as _,
    sync::OnceLock,
    time::Duration,
};
use url::Url;
use uuid::Uuid;

/// The cluster of a process that was given none. It stops when the process ends.
static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();

/// Names the lock under which one process makes the template.
const TEMPLATE_LOCK: i64 = 0x6661_6c63;

/// One database, dropped with this.
#[derive(Debug)]
pub struct Database {
    url: Url,
    admin: Url,
    name: String,
    own: Option<OwnPostgres>,
}

impl Database {
    /// Makes a database on the cluster of `DATABASE_URL`, or on one that this process starts and shares.
    pub(crate) async fn create() -> Result<Self> {
        Self::create_on(shared_cluster().await?, None).await
    }

    /// Makes a database on a cluster that nobody else uses.
    ///
    /// # Errors
    /// When the cluster or the database cannot be made.
    pub async fn create_alone() -> Result<Self> {
        let own = OwnPostgres::start().await?;
        Self::create_on(own.url()?, Some(own)).await
    }

    /// Makes a database without a schema on the cluster that worlds share.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn create_empty() -> Result<Self> {
        Self::create_from("template0", shared_cluster().await?, None).await
    }

    /// Runs `falconer migrate` on it. `failpoint` says where the process is to die; nothing where it is empty.
    ///
    /// # Errors
    /// When the command cannot be started.
    pub async fn migrate(&self, failpoint: &str) -> Result<ExitStatus> {
        let mut command = tokio::process::Command::new(crate::server::binary()?);
        command.arg("migrate").env_clear().env("DATABASE_URL", self.url.as_str());
        command.env(failpoints::POINT_VARIABLE, failpoint).current_dir(std::env::temp_dir());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        command.status().await.context("falconer cannot be started")
    }

    async fn create_on(admin: Url, own: Option<OwnPostgres>) -> Result<Self> {
        let template = template(&admin).await.context("the template database cannot be made")?;
        Self::create_from(&template, admin, own).await
    }

    async fn create_from(template: &str, admin: Url, own: Option<OwnPostgres>) -> Result<Self> {
        let name = format!("world_{}", Uuid::new_v4().simple());
        let mut connection = connect(&admin).await?;
        execute(&mut connection, format!("create database {name} template {template}")).await?;
        connection.close().await?;
        Ok(Self { url: with_database(&admin, &name), admin, name, own })
    }

    /// For sqlx and for the server.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The cluster, where it is this database's alone.
    pub fn own(&self) -> Option<&OwnPostgres> {
        self.own.as_ref()
    }

    /// Opens a few connections for the test's own questions.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn pool(&self) -> Result<PgPool> {
        let options = quiet(&self.url)?.application_name("story");
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(10));
        Ok(pool.connect_lazy_with(options))
    }

    async fn discard(admin: &Url, name: &str) -> Result<()> {
        let mut connection = connect(admin).await?;
        execute(&mut connection, format!("drop database if exists {name} with (force)")).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.own.is_some() {
            return;
        }
        let (admin, name) = (self.admin.clone(), std::mem::take(&mut self.name));
        // A runtime cannot be entered twice, so the drop has one of its own. A database that stays goes with its cluster.
        let dropper = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(Self::discard(&admin, &name)))
        });
        let _ = dropper.join();
    }
}

/// The maintenance database of the cluster that worlds share.
async fn shared_cluster() -> Result<Url> {
    #[expect(clippy::disallowed_methods, reason = "the runner of the tests names the cluster so")]
    if let Ok(url) = std::env::var("DATABASE_URL") {
        return Url::parse(&url).context("DATABASE_URL is not a URL");
    }
    let start = || {
        let settings = vec![("max_connections".to_owned(), "300".to_owned())];
        Cluster::temporary(settings).map_err(|error| format!("{error:#}"))
    };
    let cluster = tokio::task::spawn_blocking(move || CLUSTER.get_or_init(start)).await?;
    let cluster = cluster.as_ref().map_err(|error| anyhow::anyhow!("no Postgres: {error}"))?;
    Ok(Url::parse(&cluster.url("postgres"))?)
}

/// Makes the template unless somebody has. Its name holds the checksum of the migrations.
async fn template(admin: &Url) -> Result<String> {
    let checksums = store::MIGRATOR.iter().flat_map(|migration| migration.checksum.iter().copied());
    let fingerprint =
        checksums.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let name = format!("falconer_template_{fingerprint:016x}");
    let mut connection = connect(admin).await?;
    sqlx::query("select pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut connection).await?;
    let made: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1 and datistemplate)")
        .bind(&name)
        .fetch_one(&mut connection)
        .await?;
    if !made {
        execute(&mut connection, format!("drop database if exists {name}")).await?;
        execute(&mut connection, format!("create database {name}")).await?;
        let mut fresh = connect(&with_database(admin, &name)).await?;
        store::migrate::run(&mut fresh).await?;
        fresh.close().await?;
        // Nobody may connect to it, since a database in use cannot be copied.
        execute(&mut connection, format!("alter database {name} with is_template true allow_connections false"))
            .await?;
    }
    connection.close().await?;
    Ok(name)
}

async fn connect(url: &Url) -> Result<PgConnection> {
    Ok(quiet(url)?.connect().await?)
}

fn quiet(url: &Url) -> Result<PgConnectOptions> {
    Ok(PgConnectOptions::from_str(url.as_str())?.disable_statement_logging())
}

/// Runs a statement that takes no parameters. Every name in it is made here.
async fn execute(connection: &mut PgConnection, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

fn with_database(url: &Url, name: &str) -> Url {
    let mut url = url.clone();
    url.set_path(name);
    url
}
