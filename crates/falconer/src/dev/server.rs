//! The whole service inside this process, from its start until it has drained.

use crate::{
    config::{Config, Overrides},
    serve::{self, Roles},
};
use anyhow::{Context, Result, bail};
use simulator::Simulator;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The longest that a start may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often readiness is asked for.
const POLL: Duration = Duration::from_millis(20);

/// A running service. It ends by a signal or by [`Server::stop`].
#[derive(Debug)]
pub(crate) struct Server {
    stop: CancellationToken,
    running: JoinHandle<Result<()>>,
}

impl Server {
    /// Starts every role, and returns when all of them can be used.
    pub(crate) async fn start(config: Config) -> Result<Self> {
        let (stop, metrics) = (CancellationToken::new(), config.server.metrics_addr);
        let roles = Roles::of(&[])?;
        let serving = {
            let stop = stop.clone();
            async move { serve::run(config, &roles, stop).await }
        };
        let mut server = Self { stop, running: TaskTracker::new().spawn(serving) };
        server.become_ready(metrics).await?;
        Ok(server)
    }

    /// Resolves when the service has been told to stop.
    pub(crate) fn told_to_stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until a signal has come and all that had begun is finished.
    pub(crate) async fn wait(self) -> Result<()> {
        self.running.await.context("the service panicked")?
    }

    /// Drains as a signal would make it.
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.wait().await
    }

    async fn become_ready(&mut self, metrics: SocketAddr) -> Result<()> {
        let client = fal::http_client().context("failed to build an HTTP client")?;
        let url = format!("http://{metrics}/readyz");
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.running.is_finished() {
                let ended = (&mut self.running).await.context("the service panicked")?;
                return ended.and_then(|()| bail!("the service was stopped while it started"));
            }
            let answer = client.get(&url).timeout(PATIENCE).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("the service is not ready after {} s", PATIENCE.as_secs())
    }
}

/// Settings that point the service at a simulated fal.
pub(crate) fn fal_overrides(simulator: &Simulator) -> Overrides {
    let settings = [
        ("fal.queue_url", simulator.queue_url()),
        ("fal.platform_url", simulator.platform_url()),
        ("fal.jwks_url", simulator.jwks_url()),
    ];
    settings.map(|(name, url)| (name.to_owned(), url.into())).into()
}
