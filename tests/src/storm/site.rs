//! The stage: a Postgres of its own, a simulated fal, two servers, and a proxy in front of Postgres for each of them.

use super::{
    plan::{History, Plan},
    proxy::Proxy,
    schedule::SERVERS,
};
use anyhow::{Context as _, Result};
use simulator::{Faults, HistoryMode, Latency, Simulator, SimulatorConfig};
use sqlx::PgPool;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use testkit::{CALLBACK_SECRET, Database, Server};
use uuid::Uuid;

/// More than are ever used, so that what is unknown holds nobody up.
const SLOTS: u32 = 400;
/// The run deadlines are short, and the simulated runs shorter, so that much is decided while the storm lasts.
const SETTINGS: [(&str, &str); 17] = [
    ("FALCONER_SUBMITTER__SUBMIT_TIMEOUT", "1s"),
    ("FALCONER_SHUTDOWN__DRAIN", "2s"),
    ("FALCONER_SUBMITTER__LEASE", "3s"),
    ("FALCONER_SUBMITTER__START_TIMEOUT", "10s"),
    ("FALCONER_SUBMITTER__RUN_TIMEOUT", "20s"),
    ("FALCONER_SUBMITTER__BACKOFF_FIRST", "50ms"),
    ("FALCONER_SUBMITTER__BACKOFF_LONGEST", "500ms"),
    ("FALCONER_RECONCILER__FIRST_LOOK", "1s"),
    ("FALCONER_RECONCILER__POLL_MAX", "2s"),
    ("FALCONER_RECONCILER__HISTORY_AFTER", "1500ms"),
    ("FALCONER_RECONCILER__HISTORY_LAG", "30s"),
    ("FALCONER_RECONCILER__POLLS_PER_SECOND_MAX", "200"),
    ("FALCONER_DATABASE__MAX_CONNECTIONS", "20"),
    ("FALCONER_SECRET", CALLBACK_SECRET),
    ("FALCONER_ALLOW_UNSAFE_DURABILITY", "1"),
    ("FAL_KEY", "id:secret"),
    ("RUST_LOG", "warn,falconer=info"),
];

/// Everything that runs. It ends with this.
#[derive(Debug)]
pub struct Site {
    pub sim: Simulator,
    pub servers: Vec<Server>,
    /// One for each server.
    pub proxies: Vec<Proxy>,
    pub database: Database,
    /// Past the proxies, for the storm's own questions.
    pub db: PgPool,
    pub api_key: String,
    home: PathBuf,
}

impl Site {
    /// Starts all of it.
    pub async fn start(plan: &Plan) -> Result<Self> {
        let database = Database::create_alone().await?;
        let sim = Simulator::start(fal(plan)).await.context("the simulator")?;
        let home = std::env::temp_dir().join(format!("falconer-storm-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&home).context("the storm's directory")?;
        let api_key = testkit::make_key(&database, "default").await.context("an API key")?;
        let (mut servers, mut proxies) = (Vec::new(), Vec::new());
        for number in 0..SERVERS {
            let proxy = Proxy::start(database.url()).await.context("the proxy")?;
            let log = home.join(format!("server-{number}.log"));
            servers.push(Server::start(settings(plan, &sim, proxy.url(database.url())), None, log).await?);
            proxies.push(proxy);
        }
        let db = database.pool()?;
        Ok(Self { sim, servers, proxies, database, db, api_key, home })
    }

    /// Where the servers write their logs.
    pub fn home(&self) -> &Path {
        &self.home
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.servers.clear();
        // What cannot be removed is the temporary directory's affair.
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

fn settings(plan: &Plan, sim: &Simulator, database: String) -> BTreeMap<String, String> {
    // Without history only callbacks resolve what is unknown, and fal may try those for a minute and a half.
    let abandon_after = if plan.history.lists() { "60s" } else { "150s" };
    let own = [
        ("DATABASE_URL", database),
        ("FALCONER_RECONCILER__ABANDON_AFTER", abandon_after.to_owned()),
        ("FALCONER_FAL__QUEUE_URL", sim.queue_url()),
        ("FALCONER_FAL__PLATFORM_URL", sim.platform_url()),
        ("FALCONER_FAL__JWKS_URL", sim.jwks_url()),
        ("FALCONER_FAL__SLOTS", SLOTS.to_string()),
        ("FALCONER_FAL__USER_ID", sim.user_id().to_owned()),
    ];
    let common = SETTINGS.map(|(name, value)| (name, value.to_owned()));
    common.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn fal(plan: &Plan) -> SimulatorConfig {
    let latency = Latency { min: Duration::from_millis(100), max: Duration::from_secs(2) };
    SimulatorConfig {
        seed: plan.seed,
        slots: SLOTS,
        latency: BTreeMap::from([("*".to_owned(), latency)]),
        faults: weather(),
        history: match plan.history {
            History::On | History::Lagging => HistoryMode::On,
            History::Off => HistoryMode::Off,
            History::Refused => HistoryMode::Refused,
        },
        history_lag: plan.history.lag(),
        webhook_timeout_first: Duration::from_secs(2),
        webhook_timeout_later: Duration::from_secs(2),
        webhook_backoff_first: Duration::from_millis(200),
        webhook_backoff_longest: Duration::from_secs(3),
        ..SimulatorConfig::default()
    }
}

/// What fal does wrong all the time. Refusals are rare, since each stops the account's whole queue for a while.
fn weather() -> Faults {
    Faults {
        submit_429: 0.001,
        submit_5xx: 0.002,
        submit_slow: 0.01,
        submit_slow_by: Duration::from_millis(1500),
        accept_then_reset: 0.03,
        accept_then_502: 0.01,
        status_5xx: 0.05,
        result_5xx_runner: 0.02,
        runner_retried: 0.05,
        callback_try_lost: 0.3,
        callback_all_lost: 0.1,
        callback_late: 0.05,
        callback_late_by: Duration::from_secs(4),
        callback_doubled: 0.1,
        callback_reordered: 0.05,
        callback_before_answer: 0.05,
        callback_before_answer_for: Duration::from_secs(5),
        callback_conflicting: 0.02,
        callback_stale: 0.02,
        callback_wrong_user: 0.02,
        callback_tampered: 0.02,
        ..Faults::default()
    }
}
