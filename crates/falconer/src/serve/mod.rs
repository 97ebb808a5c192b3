//! `falconer serve`: opens the database, starts the roles, and drains when told to stop.

mod database;
mod health;
mod housekeeping;
mod roles;
mod signals;
mod wakes;
mod workers;

pub(crate) use database::{DURABILITY, options as database_options};
pub(crate) use roles::{Role, Roles};

use crate::{config::Config, durations::unix_now, random};
use accounts::{Accounts, AccountsConfig, Sealer};
use anyhow::{Context, Result, bail};
use domain::{CredentialId, TokenKeys, sealing::SealKeys};
use failpoints::Point;
use fal::{ClientConfig, jwks::KeyStore};
use receiver::{Receiver, Rejections};
use reconciler::Books;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use store::{
    Store,
    accept::{Acceptor, SubmitSettings},
    jobs::Watch,
    log_limit::LogLimit,
    model_stats::ModelStats,
    settle::Settler,
    wake::Wakes,
};
use submitter::{Intake, Prices, Submitter};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Connects to the configured database, whatever its schema.
pub(crate) async fn connect(config: &Config) -> Result<sqlx::PgConnection> {
    database::connect(&database::options(config)?).await
}

/// For the callbacks that are being settled when the workers have drained.
const LAST_ANSWERS: std::time::Duration = std::time::Duration::from_secs(3);

/// What every role of this process shares. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) wakes: Wakes,
    watch: Watch,
    pub(crate) stats: ModelStats,
    pub(crate) settler: Settler,
    pub(crate) intake: Intake,
    pub(crate) prices: Prices,
    pub(crate) accounts: Accounts,
    pub(crate) books: Books,
    pub(crate) receiver: Receiver,
    pub(crate) tokens: TokenKeys,
}

/// When what stops: first what takes work in, then what waits for fal, then the writers.
#[derive(Clone, Default)]
pub(crate) struct Stops {
    /// Nothing new is taken or claimed.
    pub(crate) intake: CancellationToken,
    /// Callbacks are not taken any more.
    pub(crate) callbacks: CancellationToken,
    /// Nothing is written any more.
    pub(crate) writers: CancellationToken,
}

/// Runs the roles until a signal, then drains. `stop` ends it as a signal does.
pub(crate) async fn run(config: Config, roles: &Roles, stop: CancellationToken) -> Result<()> {
    let handle = health::install_metrics();
    let store = database::open(&config).await?;
    store::credentials::configure(&store, CredentialId::DEFAULT, config.fal.slots.get(), config.fal.user_id.as_deref())
        .await
        .context("failed to write the credential's settings")?;
    let settings = SubmitSettings { attempts_max: config.submitter.attempts_max };
    store::accept::publish(&store, settings, fal::seeds::models())
        .await
        .context("failed to write the settings of falconer.submit_job")?;
    let listeners = Listeners::bind(&config, roles).await?;
    let (stops, tasks) = (Stops::default(), TaskTracker::new());
    let engine = Engine::start(config, store, &tasks, &stops)?;
    engine.accounts.refresh().await.context("failed to read the credentials")?;
    receiver::keys::load(&engine.store, &engine.receiver.keys, engine.config.fal.jwks_url.as_str()).await;
    // What is not warm is only slow.
    if let Err(error) = store::settle::warm(&engine.store).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "the statements could not be prepared");
    }
    announce(&engine.config, roles);
    signals::listen(stop.clone());
    serve(engine, roles, listeners, handle, stops, tasks, stop).await
}

struct Listeners {
    api: Option<TcpListener>,
    callbacks: Option<TcpListener>,
    metrics: TcpListener,
}

impl Listeners {
    async fn bind(config: &Config, roles: &Roles) -> Result<Self> {
        let bind = |name: &'static str, addr| async move {
            TcpListener::bind(addr).await.with_context(|| format!("failed to listen on server.{name} = {addr}"))
        };
        let server = &config.server;
        Ok(Self {
            api: if roles.has(Role::Api) { Some(bind("api_addr", server.api_addr).await?) } else { None },
            callbacks: if roles.has(Role::Receiver) {
                Some(bind("callback_addr", server.callback_addr).await?)
            } else {
                None
            },
            metrics: bind("metrics_addr", server.metrics_addr).await?,
        })
    }
}

async fn serve(
    engine: Engine,
    roles: &Roles,
    listeners: Listeners,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
    stops: Stops,
    tasks: TaskTracker,
    stop: CancellationToken,
) -> Result<()> {
    let (takers, answerers) = (TaskTracker::new(), TaskTracker::new());
    tasks.spawn(health::serve(listeners.metrics, engine.store.clone(), metrics, stop.clone(), stops.writers.clone()));
    if let Some(listener) = listeners.callbacks {
        let router = receiver::router(engine.receiver.clone());
        answerers.spawn(receiver::serve(listener, router, receiver::Limits::default(), stops.callbacks.clone()));
        let (store, keys) = (engine.store.clone(), engine.receiver.keys.clone());
        let url = engine.config.fal.jwks_url.to_string();
        answerers.spawn(receiver::keys::keep(store, keys, url, stops.callbacks.clone()));
    }
    if let Some(listener) = listeners.api {
        takers.spawn(api::serve(listener, engine.api_state(&stops.intake), stops.intake.clone()));
    }
    tasks.spawn(engine.accounts.clone().keep(stops.writers.clone()));
    let workers = workers::start(&engine, roles, &takers, &stops);
    housekeeping::start(&engine, roles, &takers, &stops.intake);
    wakes::start(&engine, roles, &takers, &stops.intake);
    let drain = engine.config.shutdown.drain;
    drop(engine);

    stop.cancelled().await;
    failpoints::hit(Point::ShutdownBeforeDrain);
    tracing::info!("stopping: nothing new is taken, what has begun is finished");
    stops.intake.cancel();
    let end = tokio::time::Instant::now() + drain;
    wait_until(end, "the API and the sweeps", &takers).await;
    let drained = workers.await;
    stops.callbacks.cancel();
    wait_until(end.max(tokio::time::Instant::now() + LAST_ANSWERS), "the callback listener", &answerers).await;
    stops.writers.cancel();
    tasks.close();
    tasks.wait().await;
    failpoints::hit(Point::ShutdownAfterDrain);
    tracing::info!("stopped");
    drained
}

/// Waits until `tasks` have ended, and goes on without them at `end`: somebody may read a large answer for minutes, and
/// whoever asked us to stop kills us then.
async fn wait_until(end: tokio::time::Instant, what: &str, tasks: &TaskTracker) {
    tasks.close();
    if tokio::time::timeout_at(end, tasks.wait()).await.is_err() {
        tracing::warn!(tasks = tasks.len(), "{what} did not end in time and are cut off");
    }
}

impl Engine {
    fn start(config: Config, store: Store, tasks: &TaskTracker, stops: &Stops) -> Result<Self> {
        let Some(master) = &config.secrets.master else {
            bail!(
                "FALCONER_SECRET is not set: callback URLs are signed with it (at least 32 bytes, for example from `openssl rand -hex 32`)"
            );
        };
        let tokens = TokenKeys::derive(master.expose_secret()).context("FALCONER_SECRET cannot be used")?;
        let http = fal::http_client().context("failed to build the HTTP client")?;
        let keys = KeyStore::new(http.clone(), config.fal.jwks_url.clone(), unix_now).context("fal.jwks_url")?;
        let accounts_config = AccountsConfig { default: client_config(&config)?, http, sealer: sealer(&config)? };
        let accounts = Accounts::new(store.clone(), accounts_config, config.fal.slots.get())
            .context("the [fal] settings cannot be used")?;
        // Looks at one attempt are further apart, so that none is made in vain.
        let fresh = config.reconciler.poll_max.min(config.reconciler.history_after) / 5;
        let books = Books::new(accounts.clone(), fresh);
        let (wakes, stats, prices) = (Wakes::default(), ModelStats::default(), Prices::default());
        let settler = Settler::start(&store, config.retry(), &stats, &wakes, tasks, &stops.writers);
        let watch = Watch::start(&store, &wakes, tasks, &stops.writers);
        let acceptor: Acceptor = store::accept::start(&store, &wakes, tasks, &stops.writers);
        let submitter = Submitter { attempts_max: config.submitter.attempts_max, prices: prices.clone() };
        let receiver = Receiver {
            tokens: tokens.clone(),
            keys,
            settler: settler.clone(),
            rejections: Rejections::start(store.clone(), tasks, stops.writers.clone()),
            body_max: usize::try_from(config.receiver.body_max.as_u64()).unwrap_or(usize::MAX),
            body_timeout: receiver::ingest::BODY_TIMEOUT,
            leeway: config.receiver.leeway,
            outages: LogLimit::default(),
        };
        let intake = Intake { submitter, acceptor };
        Ok(Self {
            config: Arc::new(config),
            store,
            wakes,
            watch,
            stats,
            settler,
            intake,
            prices,
            accounts,
            books,
            receiver,
            tokens,
        })
    }

    fn api_state(&self, stop: &CancellationToken) -> api::ApiState {
        api::ApiState {
            store: self.store.clone(),
            intake: self.intake.clone(),
            settler: self.settler.clone(),
            wakes: self.wakes.clone(),
            watch: self.watch.clone(),
            accounts: self.accounts.clone(),
            receiver: self.receiver.clone(),
            keys: api::auth::KeyCache::default(),
            rates: api::rate::Rates::new(self.config.api.rate()),
            draw: random::bytes::<32>,
            streams: api::streams::Streams::default(),
            limits: api::ApiLimits::default(),
            adopt: api::AdoptSettings { callback_base: self.config.callback_base(), timeouts: self.config.timeouts() },
            stop: stop.clone(),
        }
    }
}

/// What seals the keys of fal accounts.
pub(crate) fn sealer(config: &Config) -> Result<Sealer> {
    let Some(master) = &config.secrets.master else {
        bail!("FALCONER_SECRET is not set: the keys of fal accounts are sealed with it (at least 32 bytes)");
    };
    let seals = SealKeys::derive(master.expose_secret()).context("FALCONER_SECRET cannot be used")?;
    Ok(Sealer::new(seals, random::bytes))
}

/// The client of the default account, from `FAL_KEY`.
fn client_config(config: &Config) -> Result<ClientConfig> {
    let key = match &config.secrets.fal_key {
        Some(key) => key.clone(),
        // A simulator on this machine asks for a key and does not look at it.
        None if config.callback_base().is_some() && config.fal.queue_url.scheme() == "http" => {
            SecretString::from("simulator:simulator")
        }
        None => bail!(
            "FAL_KEY is not set (and fal.queue_url = {} is not a simulator on this machine)",
            config.fal.queue_url
        ),
    };
    Ok(ClientConfig {
        queue_url: config.fal.queue_url.clone(),
        platform_url: config.fal.platform_url.clone(),
        billing_events_path: config.fal.billing_events_path.clone(),
        submit_timeout: config.submitter.submit_timeout,
        ..ClientConfig::new(key)
    })
}

/// Says once what this process is and where it can be found.
fn announce(config: &Config, roles: &Roles) {
    let server = &config.server;
    tracing::info!(
        roles = %roles,
        api = %server.api_addr,
        callbacks = %server.callback_addr,
        metrics = %server.metrics_addr,
        public_url = %config.public_url(),
        fal = %config.fal.queue_url,
        slots = config.fal.slots,
        "falconer is up",
    );
    if config.timeouts().abandons_what_may_run() {
        tracing::warn!(
            "reconciler.abandon_after is shorter than start_timeout and run_timeout together: an attempt may be given up, and its job run and paid for again, while fal still runs it"
        );
    }
    if config.callback_base().is_none() {
        tracing::warn!(
            public_url = %config.public_url(),
            "poll-only mode: fal would drop webhooks to this public_url unseen, so none is asked for and every attempt is polled",
        );
    }
}
