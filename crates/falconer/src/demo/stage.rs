//! Everything that the demo plays on: Postgres, the simulated fal and Falconer itself, in this process and nowhere else.

use super::{DemoArgs, faults};
use crate::{
    config::{self, Config, Overrides},
    dev::{self, StateDir, cluster, server::Server},
    durations::unix_now,
    logging, random, serve,
};
use anyhow::{Context, Result};
use dev_postgres::{Cluster, ClusterOptions, Durability};
use secrecy::SecretString;
use simulator::Simulator;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};
use store::{PoolSizes, Store, keys::KeySecret};

const KEY_FILE: &str = "api-key";
/// Connections of the one who watches, beside the service's own.
const WATCHER_CONNECTIONS: u32 = 2;
/// How long an unknown attempt waits for its callback before fal's history is asked; the default suits real runs.
const HISTORY_AFTER: &str = "3s";
/// Where things listen when they stay and the port is free: callers' defaults find them there.
const USUAL_PORTS: [u16; 4] = [4800, 4801, 4802, 4810];

/// What runs, and how to get at it.
pub(super) struct Stage {
    pub(super) simulator: Simulator,
    pub(super) server: Server,
    pub(super) store: Store,
    pub(super) config: Config,
    pub(super) key: KeySecret,
    pub(super) http: reqwest::Client,
    cluster: Cluster,
    state: StateDir,
    files: Files,
    /// Whether the directory outlives us.
    kept: bool,
}

/// What one run leaves in the directory, told apart from what others left. The database is a fresh one too, so that a kept
/// cluster can be used again and every total is this run's.
struct Files {
    log: String,
    truth: String,
    database: String,
}

impl Files {
    fn of_run(started: i64) -> Self {
        Self {
            log: format!("falconer-{started}.log"),
            truth: format!("truth-{started}.jsonl"),
            database: format!("demo_{started}"),
        }
    }
}

impl Stage {
    /// Starts everything, and returns when the first job may come.
    pub(super) async fn start(args: &DemoArgs, seed: u64, file: Option<PathBuf>) -> Result<Self> {
        let cluster = start_cluster(args.dir.as_deref()).await?;
        let (state, files) = (StateDir::open(cluster.dir())?, Files::of_run(unix_now()));
        logging::start_in(&state.file(&files.log))?;
        let [api, callbacks, metrics, fal] = free_addresses(args.stay)?;
        let settings = faults::settings(fal, args.slots, seed, state.file(&files.truth));
        let simulator = Simulator::start(settings).await.context("failed to start the simulated fal")?;
        faults::script(&simulator, args.jobs);
        let mut overrides = dev::server::fal_overrides(&simulator);
        overrides.extend([
            ("server.api_addr".to_owned(), api.to_string().into()),
            ("server.callback_addr".to_owned(), callbacks.to_string().into()),
            ("server.metrics_addr".to_owned(), metrics.to_string().into()),
            ("fal.slots".to_owned(), args.slots.into()),
            ("reconciler.history_after".to_owned(), HISTORY_AFTER.into()),
            ("database.url".to_owned(), cluster::database(&cluster, &files.database)?.into()),
        ]);
        let config = configure(file, &overrides)?;
        dev::migrate(&config).await?;
        let store = Store::open(&serve::database_options(&config)?, PoolSizes::of_total(WATCHER_CONNECTIONS));
        let key = dev::make_key(&store, "made by falconer demo").await?;
        state.write(KEY_FILE, key.expose())?;
        let server = Server::start(config.clone()).await?;
        let http = fal::http_client().context("failed to build an HTTP client")?;
        Ok(Self { simulator, server, store, config, key, http, cluster, state, files, kept: args.dir.is_some() })
    }

    /// Base of the API.
    pub(super) fn api(&self) -> String {
        format!("http://{}", self.config.server.api_addr)
    }

    /// Where the API key stands.
    pub(super) fn key_file(&self) -> PathBuf {
        self.state.file(KEY_FILE)
    }

    /// Where everything of this run lies.
    pub(super) fn dir(&self) -> &Path {
        self.state.path()
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.state.file(&self.files.log)
    }

    /// Saves the logs of a run that went wrong from being removed, and says where they are.
    pub(super) fn keep_evidence(&self) -> Result<()> {
        let place = if self.kept {
            self.dir().to_owned()
        } else {
            let place = std::env::temp_dir().join(format!("falconer-demo-{}-{}", unix_now(), std::process::id()));
            fs::create_dir(&place).with_context(|| format!("failed to make {}", place.display()))?;
            for name in [&self.files.log, &self.files.truth] {
                fs::copy(self.state.file(name), place.join(name)).with_context(|| format!("failed to keep {name}"))?;
            }
            place
        };
        eprintln!("the logs of Falconer and of the simulated fal are in {}", place.display());
        Ok(())
    }

    /// Drains the service and stops everything. The directory is gone afterwards, unless it was asked for.
    pub(super) async fn stop(self) -> Result<()> {
        self.store.close().await;
        let drained = self.server.stop().await;
        self.simulator.shutdown().await;
        cluster::stop(self.cluster).await?;
        drained
    }
}

async fn start_cluster(dir: Option<&Path>) -> Result<Cluster> {
    let Some(dir) = dir else {
        return cluster::start_passing().await;
    };
    cluster::start(ClusterOptions {
        dir: dev_postgres::usable_dir(dir)?,
        durability: Durability::Durable,
        settings: cluster::settings(),
        port: 5432,
    })
    .await
}

/// The settings in force, less what names another account, another address or another secret than this stage's.
fn configure(file: Option<PathBuf>, overrides: &Overrides) -> Result<Config> {
    let mut config = config::load(file, overrides)?;
    config.server.public_url = None;
    config.fal.user_id = None;
    config.secrets.master = Some(SecretString::from(hex::encode(random::bytes::<32>())));
    config.secrets.fal_key = None;
    config.secrets.allow_unsafe_durability = false;
    Ok(config)
}

/// Addresses on which nothing listens.
fn free_addresses(usual: bool) -> Result<[SocketAddr; 4]> {
    let any = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let mut held = Vec::new();
    for port in USUAL_PORTS {
        let listener = if usual { TcpListener::bind((Ipv4Addr::LOCALHOST, port)).or_else(|_| any()) } else { any() };
        held.push(listener.context("failed to find a free port")?);
    }
    // All are held until all are found, so that no two are the same.
    let addresses = held.iter().map(TcpListener::local_addr).collect::<std::io::Result<Vec<_>>>();
    let addresses = addresses.context("failed to read a port")?;
    Ok(addresses.try_into().expect("as many as there are ports"))
}
