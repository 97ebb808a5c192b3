//! What a world is made of.

use super::{CALLBACK_SECRET, FAL_KEY, Home, World, http_client};
use crate::{Database, Server};
use anyhow::{Context as _, Result};
use domain::ProjectId;
use rand::Rng as _;
use simulator::{Faults, Latency, Simulator, SimulatorConfig};
use sqlx::postgres::PgConnectOptions;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::Mutex,
    time::Duration,
};
use store::{
    PoolSizes, Store,
    audit::By,
    keys::{KeySecret, NewKey, Scopes},
    projects,
};
use uuid::Uuid;

/// Settings that make waits short. Each can be set otherwise.
const QUICK: [(&str, &str); 6] = [
    ("FALCONER_RECONCILER__FIRST_LOOK", "250ms"),
    ("FALCONER_RECONCILER__POLL_MAX", "500ms"),
    ("FALCONER_RECONCILER__HISTORY_AFTER", "300ms"),
    ("FALCONER_SUBMITTER__BACKOFF_FIRST", "50ms"),
    ("FALCONER_SUBMITTER__BACKOFF_LONGEST", "200ms"),
    ("RUST_LOG", "info,sqlx=warn,sqlx::postgres=error,sqlx_core=error,hyper=warn"),
];

/// Describes a world. By default: 10 slots, runs of 20 to 60 ms, no faults, the user id known, history on, a repeated
/// webhook after 100 ms.
#[derive(Clone, Debug)]
pub struct WorldBuilder {
    sim: SimulatorConfig,
    slots: u32,
    settings: BTreeMap<String, String>,
    roles: Option<String>,
    user_id_known: bool,
    own_postgres: bool,
}

impl Default for WorldBuilder {
    fn default() -> Self {
        let mut sim =
            SimulatorConfig { webhook_backoff_first: Duration::from_millis(100), ..SimulatorConfig::default() };
        sim.latency = quick_runs();
        let settings = QUICK.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { sim, slots: 10, settings, roles: None, user_id_known: true, own_postgres: false }
    }
}

impl WorldBuilder {
    /// How many runs the account allows, on both sides.
    #[must_use]
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// What goes wrong at fal, and how often.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.sim.faults = faults;
        self
    }

    /// Changes the simulator's settings.
    #[must_use]
    pub fn sim(mut self, change: impl FnOnce(&mut SimulatorConfig)) -> Self {
        change(&mut self.sim);
        self
    }

    /// Sets a variable in the environment of the server.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs only these roles in the first server.
    #[must_use]
    pub fn roles(mut self, roles: &str) -> Self {
        self.roles = Some(roles.to_owned());
        self
    }

    /// Leaves it to the server to learn whom fal signs for.
    #[must_use]
    pub fn user_id_unknown(mut self) -> Self {
        self.user_id_known = false;
        self
    }

    /// Gives the world a Postgres of its own, which may be stopped. Takes two seconds more.
    #[must_use]
    pub fn own_postgres(mut self) -> Self {
        self.own_postgres = true;
        self
    }

    /// Starts all of it.
    ///
    /// # Panics
    /// When anything does not start.
    pub async fn start(self) -> World {
        self.try_start().await.unwrap_or_else(|error| panic!("the world cannot be started: {error:#}"))
    }

    /// As [`WorldBuilder::start`], on a database that is there and has its schema.
    ///
    /// # Panics
    /// When anything does not start.
    pub async fn start_on(self, database: Database) -> World {
        self.try_start_on(database).await.unwrap_or_else(|error| panic!("the world cannot be started: {error:#}"))
    }

    async fn try_start(self) -> Result<World> {
        let database = if self.own_postgres { Database::create_alone().await? } else { Database::create().await? };
        self.try_start_on(database).await
    }

    async fn try_start_on(mut self, database: Database) -> Result<World> {
        let client = http_client();
        self.sim.slots = self.slots;
        let sim = Simulator::start(self.sim.clone()).await.context("the simulator")?;
        let home = Home(std::env::temp_dir().join(format!("falconer-world-{}", Uuid::new_v4().simple())));
        std::fs::create_dir_all(&home.0).context("the world's directory")?;
        let api_key = make_key(&database, "default").await.context("an API key")?;
        let server = self.server(&sim, &database, &home.0, 0).await?;
        Ok(World {
            sim,
            servers: vec![server],
            db: database.pool()?,
            database,
            client,
            api_key,
            home,
            builder: self,
            acknowledged: Mutex::default(),
            forged: Mutex::default(),
            checked: Mutex::default(),
        })
    }

    pub(super) async fn server(&self, sim: &Simulator, db: &Database, home: &Path, number: usize) -> Result<Server> {
        let mut settings = self.settings.clone();
        let mut set = |name: &str, value: String| {
            settings.entry(name.to_owned()).or_insert(value);
        };
        set("DATABASE_URL", db.url().to_string());
        set("FALCONER_SECRET", CALLBACK_SECRET.to_owned());
        set("FALCONER_ALLOW_UNSAFE_DURABILITY", "1".to_owned());
        set("FALCONER_FAL__QUEUE_URL", sim.queue_url());
        set("FALCONER_FAL__PLATFORM_URL", sim.platform_url());
        set("FALCONER_FAL__JWKS_URL", sim.jwks_url());
        set("FALCONER_FAL__SLOTS", self.slots.to_string());
        set("FAL_KEY", FAL_KEY.to_owned());
        if self.user_id_known {
            set("FALCONER_FAL__USER_ID", sim.user_id().to_owned());
        }
        let log: PathBuf = home.join(format!("server-{number}.log"));
        let roles = if number == 0 { self.roles.clone() } else { None };
        Server::start(settings, roles, log).await
    }
}

/// Run times of 20 to 60 ms for every model.
pub fn quick_runs() -> BTreeMap<String, Latency> {
    let quick = Latency { min: Duration::from_millis(20), max: Duration::from_millis(60) };
    BTreeMap::from([("*".to_owned(), quick)])
}

/// Makes a key of a project that may do what projects may, and the project where it is missing.
///
/// # Errors
/// When the database cannot be written.
pub async fn make_key(database: &Database, project: &str) -> Result<String> {
    make_key_of(database, project, Scopes::of_project()).await
}

/// Makes a key with the scopes that are named, and the project where it is missing.
pub(super) async fn make_key_of(database: &Database, project: &str, scopes: Scopes) -> Result<String> {
    let options = PgConnectOptions::from_str(database.url().as_str())?;
    let store = Store::open(&options, PoolSizes { callbacks: 1, api: 1, work: 1, maintenance: 1 });
    let project =
        if project == "default" { ProjectId::DEFAULT } else { projects::find_or_insert(&store, project).await? };
    #[expect(clippy::disallowed_methods, reason = "a key must not repeat, and nothing in a story depends on it")]
    let secret = KeySecret::of_random(&rand::rng().random());
    let key = NewKey::new(project, "story", scopes);
    store::keys::create(&store, &key, &secret, &By::command_line("a story")).await?;
    store.close().await;
    Ok(secret.expose().to_owned())
}
