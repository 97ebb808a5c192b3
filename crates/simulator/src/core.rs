//! What all parts of a running simulator share.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::account::Account;
use crate::clock::Clock;
use crate::config::{AccountConfig, SimulatorConfig};
use crate::dice::Dice;
use crate::error::SimulatorError;
use crate::signer::Signer;
use crate::tls::install_provider;
use crate::truth::Truth;
use crate::world::{Moment, Retention, World};

/// The shared parts.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: SimulatorConfig,
    pub(crate) clock: Clock,
    pub(crate) dice: Dice,
    /// `http://host:port` of the plain listener.
    pub(crate) url: String,
    /// Sends the webhooks.
    pub(crate) client: reqwest::Client,
    /// Ends every task.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    world: Mutex<World>,
    signer: Mutex<Signer>,
    changed: watch::Sender<u64>,
}

/// The account of the plain settings, and those beside it.
fn accounts(config: &SimulatorConfig) -> Vec<Account> {
    let first = AccountConfig { user_id: config.user_id.clone(), keys: config.keys.clone(), slots: config.slots };
    std::iter::once(first).chain(config.accounts.iter().cloned()).map(Account::new).collect()
}

impl Core {
    pub(crate) fn new(config: SimulatorConfig, url: String) -> Result<Self, SimulatorError> {
        install_provider();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent("simulated-fal-webhooks/1.0")
            .build()?;
        let clock = Clock::start(config.time_scale);
        let retention = Retention::new(clock.scaled(config.retention_small), clock.scaled(config.retention_large));
        let truth = Truth::open(config.truth_log.as_deref())?;
        Ok(Self {
            dice: Dice::new(config.seed),
            world: Mutex::new(World::new(accounts(&config), config.faults.clone(), retention, truth)),
            signer: Mutex::new(Signer::new(config.seed, config.jwks_padded)),
            clock,
            url,
            client,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            changed: watch::Sender::new(0),
            config,
        })
    }

    /// The account, locked. Never held across an await.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys, locked.
    pub(crate) fn signer(&self) -> MutexGuard<'_, Signer> {
        self.signer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This moment.
    pub(crate) fn now(&self) -> Moment {
        Moment { wall: self.clock.now(), up: self.clock.uptime() }
    }

    /// Tells all who wait for states that something has changed.
    pub(crate) fn touch(&self) {
        self.changed.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Follows the changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Runs a task until it ends or the simulator stops.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }
}
