//! `falconer dev`: everything on one machine, database and fal included, in one process.
//!
//! What must outlive the process lies in a directory of its own ([`StateDir`]): the database, the master secret and an API
//! key. Without `FAL_KEY` a simulated fal runs beside the service, and its jobs live in a database of their own, so that
//! nothing simulated is ever taken for fal's.

pub(crate) mod banner;
pub(crate) mod cluster;
mod keys;
pub(crate) mod server;
mod state_dir;

pub(crate) use keys::make_key;
pub(crate) use state_dir::StateDir;

use crate::{
    config::{self, Config, Overrides},
    random, serve,
};
use anyhow::{Context, Result};
use clap::Args;
use dev_postgres::{Cluster, ClusterOptions, Durability};
use secrecy::SecretString;
use server::Server;
use simulator::{Simulator, SimulatorConfig};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

/// Where the simulated fal listens (design.md, section 4).
const SIMULATOR_PORT: u16 = 4810;
const SECRET_FILE: &str = "secret";

/// Flags of `falconer dev`.
#[derive(Debug, Args)]
#[command(
    after_help = "DATABASE_URL names a database to use instead of the private one. With FAL_KEY set, jobs go to fal \
    itself and cost money.\n\nExample:\n  FALCONER_FAL__SLOTS=10 falconer dev"
)]
pub(crate) struct DevArgs {
    /// Where the private database, the master secret and the API key are kept
    #[arg(long, default_value = ".falconer", value_name = "DIR")]
    dir: PathBuf,
}

impl DevArgs {
    pub(crate) async fn run(self, file: Option<PathBuf>) -> Result<ExitCode> {
        let asked = config::load(file.clone(), &Overrides::new())?;
        let state = StateDir::open(&self.dir)?;
        let simulated = simulate(&asked).await?;
        let cluster = match &asked.database.url {
            Some(_) => None,
            None => Some(start_cluster(&state).await?),
        };
        let config = configure(file, &state, simulated.as_ref(), cluster.as_ref())?;
        let outcome = run_until_told(config, &state, simulated.is_some(), cluster.is_some()).await;
        if let Some(simulator) = simulated {
            simulator.shutdown().await;
        }
        if let Some(cluster) = cluster {
            cluster::stop(cluster).await?;
        }
        outcome.map(|()| ExitCode::SUCCESS)
    }
}

async fn run_until_told(config: Config, state: &StateDir, simulated: bool, private: bool) -> Result<()> {
    migrate(&config).await?;
    let key = keys::keep(&config, state, simulated).await?;
    eprintln!("{}", config::redacted(&config));
    let server = Server::start(config.clone()).await?;
    eprintln!("\n{}", banner::text(&config, state, &key, simulated, private));
    server.wait().await
}

/// Starts a simulated fal, unless there is a key for the real one or the settings name another place than fal.
async fn simulate(asked: &Config) -> Result<Option<Simulator>> {
    let elsewhere = !asked.fal.queue_url.host_str().is_some_and(|host| host.ends_with("fal.run"));
    if asked.secrets.fal_key.is_some() || elsewhere {
        return Ok(None);
    }
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, SIMULATOR_PORT));
    let settings = SimulatorConfig { addr, slots: asked.fal.slots.get(), ..SimulatorConfig::default() };
    let simulator = Simulator::start(settings).await;
    Ok(Some(simulator.with_context(|| format!("failed to start the simulated fal on {addr}"))?))
}

async fn start_cluster(state: &StateDir) -> Result<Cluster> {
    eprintln!("starting the private Postgres in {}", state.path().display());
    cluster::start(ClusterOptions {
        dir: state.path().to_owned(),
        durability: Durability::Durable,
        settings: cluster::settings(),
        port: 5432,
    })
    .await
}

/// The settings as they were asked for, with what runs in this process in their place.
fn configure(
    file: Option<PathBuf>,
    state: &StateDir,
    simulator: Option<&Simulator>,
    cluster: Option<&Cluster>,
) -> Result<Config> {
    let mut overrides = Overrides::new();
    if let Some(simulator) = simulator {
        overrides.extend(server::fal_overrides(simulator));
    }
    if let Some(cluster) = cluster {
        let name = if simulator.is_some() { "falconer_simulated" } else { "falconer" };
        overrides.insert("database.url".to_owned(), cluster::database(cluster, name)?.into());
    }
    let mut config = config::load(file, &overrides)?;
    if config.secrets.master.is_none() {
        let secret = state.keep(SECRET_FILE, || hex::encode(random::bytes::<32>()))?;
        config.secrets.master = Some(SecretString::from(secret));
    }
    Ok(config)
}

/// Brings the database to this release's schema.
pub(crate) async fn migrate(config: &Config) -> Result<()> {
    let mut connection = serve::connect(config).await?;
    store::migrate::run(&mut connection).await.context("failed to migrate")
}
