//! Hints that a row may be waiting. A lost wake costs latency up to the poll floor, never work.

use crate::{Store, log_limit::LogLimit};
use sqlx::postgres::PgListener;
use std::{error::Error, sync::Arc, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Where processes tell each other that there may be something to send.
const CHANNEL: &str = "falconer_dispatch";
/// Between two tries to listen.
const RECONNECT: Duration = Duration::from_secs(1);

/// One hint for each kind of worker of this process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    /// A job may be ready to be sent, or a slot may have become free.
    pub dispatch: Arc<Notify>,
    /// An attempt may need a look.
    pub reconcile: Arc<Notify>,
    /// A job may have ended: whoever waits for one looks again.
    pub ended: Arc<Notify>,
}

/// Carries dispatch wakes between processes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bridge {
    store: Store,
    wakes: Wakes,
}

impl Bridge {
    pub fn new(store: Store, wakes: Wakes) -> Self {
        Self { store, wakes }
    }

    /// Passes this process's dispatch wakes on, at most one in `debounce`, until `stop`.
    ///
    /// Only for a process that does not dispatch itself: a wake that is taken here reaches nobody else in it. The NOTIFY
    /// goes out on its own, since one inside a writing transaction would keep commits from sharing a flush.
    pub async fn send(self, debounce: Duration, stop: CancellationToken) {
        let outages = LogLimit::default();
        loop {
            tokio::select! {
                () = self.wakes.dispatch.notified() => {}
                () = stop.cancelled() => return,
            }
            tokio::time::sleep(debounce).await;
            let sent = sqlx::query!("select pg_notify($1, '')", CHANNEL).execute(&self.store.pools.maintenance).await;
            if let Err(error) = sent
                && let Some(missed) = outages.pass()
            {
                tracing::warn!(error = &error as &dyn Error, missed, "a wake was not sent; the poll floor replaces it");
            }
        }
    }

    /// Turns wakes of other processes into wakes of this one, until `stop`. After a lost connection everything is looked at
    /// once, since wakes may have been missed.
    pub async fn listen(self, stop: CancellationToken) {
        let outages = LogLimit::default();
        loop {
            let error = tokio::select! {
                error = self.listen_once() => error,
                () = stop.cancelled() => return,
            };
            if let Some(missed) = outages.pass() {
                tracing::warn!(
                    error = &error as &dyn Error,
                    missed,
                    "wakes of other processes are not heard; polling goes on"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(RECONNECT) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn listen_once(&self) -> sqlx::Error {
        let mut listener = match PgListener::connect_with(&self.store.pools.maintenance).await {
            Ok(listener) => listener,
            Err(error) => return error,
        };
        if let Err(error) = listener.listen(CHANNEL).await {
            return error;
        }
        loop {
            match listener.try_recv().await {
                // A wake, or a connection that was lost and found: both mean to look.
                Ok(_) => self.wakes.dispatch.notify_one(),
                Err(error) => return error,
            }
        }
    }
}
