//! The handle on a running simulator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;

use crate::config::SimulatorConfig;
use crate::core::Core;
use crate::error::SimulatorError;
use crate::faults::Faults;
use crate::http_api;
use crate::listen;
use crate::occupancy::Occupancy;
use crate::script::Script;
use crate::signer::{JwksMode, RotateMode, WebhookHeaders};
use crate::tls;
use crate::truth::TruthEntry;
use crate::view::{Counts, RequestView, View};

/// How long [`Simulator::wait_until`] waits.
const USUAL_WAIT: Duration = Duration::from_secs(30);

/// How long a forged callback waits for its answer.
const CALLBACK_WAIT: Duration = Duration::from_secs(15);

/// A running simulator. Clones are the same one; when the last is dropped, it stops.
#[derive(Debug, Clone)]
pub struct Simulator {
    core: Arc<Core>,
    addr: SocketAddr,
    tls: Option<(SocketAddr, Arc<str>)>,
    _stop: Arc<DropGuard>,
}

impl Simulator {
    /// Binds the listeners and serves.
    ///
    /// # Errors
    ///
    /// A senseless setting, an address that cannot be bound, a truth log that cannot be opened.
    pub async fn start(config: SimulatorConfig) -> Result<Self, SimulatorError> {
        config.check()?;
        let tls_addr = config.tls_addr;
        let listener = TcpListener::bind(config.addr).await.map_err(SimulatorError::Listen)?;
        let addr = listener.local_addr().map_err(SimulatorError::Listen)?;
        let core = Arc::new(Core::new(config, format!("http://{addr}"))?);
        let router = http_api::router(core.clone());
        let tls = match tls_addr {
            None => None,
            Some(wanted) => {
                let certificates = tls::certificates()?;
                let listener = TcpListener::bind(wanted).await.map_err(SimulatorError::Listen)?;
                let addr = listener.local_addr().map_err(SimulatorError::Listen)?;
                core.spawn(listen::tls(core.clone(), listener, router.clone(), certificates.server));
                Some((addr, Arc::from(certificates.ca_pem)))
            }
        };
        core.spawn(listen::plain(core.clone(), listener, router));
        let stop = Arc::new(core.stop.clone().drop_guard());
        Ok(Self { core, addr, tls, _stop: stop })
    }

    /// The address of the plain listener.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://host:port`, without a slash at its end.
    pub fn url(&self) -> String {
        self.core.url.clone()
    }

    /// The base of the queue API; endpoint ids follow it.
    pub fn queue_url(&self) -> String {
        self.url()
    }

    /// The base of the synchronous API; endpoint ids follow it.
    pub fn run_url(&self) -> String {
        format!("{}/run", self.core.url)
    }

    /// The base of the platform API.
    pub fn platform_url(&self) -> String {
        format!("{}/v1", self.core.url)
    }

    /// The webhook keys.
    pub fn jwks_url(&self) -> String {
        format!("{}/.well-known/jwks.json", self.core.url)
    }

    /// The address of the TLS listener, if there is one.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|(addr, _)| *addr)
    }

    /// The authority that clients of the TLS listener must trust, in PEM.
    pub fn tls_ca_pem(&self) -> Option<&str> {
        self.tls.as_ref().map(|(_, pem)| &**pem)
    }

    /// The account that webhooks are signed for.
    pub fn user_id(&self) -> &str {
        &self.core.config.user_id
    }

    /// The settings that it was started with.
    pub fn config(&self) -> &SimulatorConfig {
        &self.core.config
    }

    /// Sets all rates, for requests that come from now on.
    ///
    /// # Panics
    ///
    /// When a rate is outside 0 to 1.
    pub fn set_faults(&self, faults: Faults) {
        self.core.set_faults(faults).expect("rates of faults are from 0 to 1");
    }

    /// The rates in force.
    pub fn faults(&self) -> Faults {
        self.core.world().faults.clone()
    }

    /// Changes how many requests may run at once. What runs goes on.
    ///
    /// # Panics
    ///
    /// When the number is 0.
    pub fn set_slots(&self, slots: u32) {
        self.core.set_slots(0, slots).expect("there is at least one slot");
    }

    /// Changes the keys that open one of the accounts; 0 is that of the plain settings. Who comes with another is refused.
    ///
    /// # Panics
    ///
    /// When there is no such account.
    pub fn set_keys(&self, account: usize, keys: &[&str]) {
        self.core.world().accounts[account].keys = keys.iter().map(|key| (*key).to_owned()).collect();
    }

    /// Scripts the next submit, or the next few when the script says how many. Scripts are used in the order of their coming.
    pub fn script_next(&self, script: Script) {
        self.core.world().scripts.push_next(script);
    }

    /// Scripts every submit whose prompt contains the text. The latest script that fits wins, before any queued one.
    pub fn script_prompt(&self, substring: impl Into<String>, script: Script) {
        self.core.world().scripts.push_prompt(substring.into(), script);
    }

    /// Forgets all scripts; requests that were accepted keep theirs.
    pub fn clear_scripts(&self) {
        self.core.world().scripts.clear();
    }

    /// Lets all held requests go.
    pub fn release_held(&self) {
        self.core.release_held();
    }

    /// Makes the result of a request expire at this moment.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::UnknownRequest`].
    pub fn forget(&self, request_id: &str) -> Result<(), SimulatorError> {
        self.core.forget(request_id)
    }

    /// Goes on to a new signing key.
    pub fn rotate_keys(&self, mode: RotateMode) {
        self.core.signer().rotate(mode);
    }

    /// Takes the key set down (503) or up again.
    pub fn jwks_down(&self, down: bool) {
        self.set_jwks(if down { JwksMode::Down } else { JwksMode::Up });
    }

    /// Says how the key set is served.
    pub fn set_jwks(&self, mode: JwksMode) {
        self.core.world().jwks = mode;
    }

    /// Everything that happened so far.
    pub fn truth(&self) -> Vec<TruthEntry> {
        self.core.world().truth.entries().to_vec()
    }

    /// Every accepted request, oldest first.
    pub fn requests(&self) -> Vec<RequestView> {
        self.view().requests
    }

    /// The request of an id.
    pub fn request(&self, request_id: &str) -> Option<RequestView> {
        let world = self.core.world();
        let index = world.index_of(request_id).ok()?;
        Some(RequestView::from(&world.requests[index]))
    }

    /// Sums and requests at one moment.
    pub fn view(&self) -> View {
        self.core.world().view()
    }

    /// Sums alone, which are cheap.
    pub fn counts(&self) -> Counts {
        self.core.world().counts()
    }

    /// How many POSTs made a request.
    pub fn submissions(&self) -> usize {
        self.counts().accepted
    }

    /// The use of the first account's slots since the start or the last reset.
    pub fn occupancy(&self) -> Occupancy {
        let now = self.core.now();
        self.core.world().accounts[0].meter.read(now.up)
    }

    /// Measures the use of the first account's slots anew.
    pub fn reset_occupancy(&self) {
        let now = self.core.now();
        self.core.world().accounts[0].meter.reset(now.up);
    }

    /// Waits, half a minute at most, until the check holds, and returns the view for which it did.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Waited`].
    pub async fn wait_until(&self, check: impl FnMut(&View) -> bool) -> Result<View, SimulatorError> {
        self.wait_until_for(USUAL_WAIT, check).await
    }

    /// Waits until the check holds, for as long as the limit says.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Waited`].
    pub async fn wait_until_for(
        &self,
        limit: Duration,
        check: impl FnMut(&View) -> bool,
    ) -> Result<View, SimulatorError> {
        self.core.wait(limit, check).await
    }

    /// Signs a body as fal would at this moment.
    pub fn sign(&self, request_id: &str, body: &[u8]) -> WebhookHeaders {
        let now = self.core.clock.now().timestamp();
        self.sign_as(request_id, self.user_id(), now, body)
    }

    /// Signs a body for any account and time, with fal's key.
    pub fn sign_as(&self, request_id: &str, user_id: &str, timestamp: i64, body: &[u8]) -> WebhookHeaders {
        self.core.signer().sign(request_id, user_id, timestamp, body)
    }

    /// Posts a callback, forged or replayed, and returns the status code of the answer.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Client`] when there was no answer.
    pub async fn post_callback(
        &self,
        url: &str,
        headers: &WebhookHeaders,
        body: impl Into<Bytes>,
    ) -> Result<u16, SimulatorError> {
        Ok(self.core.post_callback(url, headers, body.into(), CALLBACK_WAIT).await?)
    }

    /// Stops serving, running and calling, and waits until all of it has stopped.
    pub async fn shutdown(&self) {
        self.core.stop.cancel();
        self.core.tasks.close();
        self.core.tasks.wait().await;
    }
}
