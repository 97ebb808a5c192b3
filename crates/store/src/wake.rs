//! Hints that a row may be waiting. A lost wake costs latency up to the poll floor, never work.

use crate::{Store, log_limit::LogLimit};
use sqlx::postgres::PgListener;
use std::{error::Error, sync::Arc, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Where processes tell each other that there may be something to send.
pub(crate) const DISPATCH: &str = "falconer_dispatch";
/// Where they tell each other that jobs have ended. The payload is the sender, who knows already.
const ENDED: &str = "falconer_ended";
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
    /// A job or an attempt has changed in this process: whoever watches a job looks again.
    pub moved: Arc<Notify>,
    /// As `ended`, but only for ends in this process, and for whoever tells the other processes of them.
    pub ended_here: Arc<Notify>,
}

/// Carries wakes between processes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bridge {
    store: Store,
    wakes: Wakes,
    /// Tells this process's own notifications from those of others.
    own: String,
}

impl Bridge {
    pub fn new(store: Store, wakes: Wakes) -> Self {
        Self { store, wakes, own: crate::fresh_id().to_string() }
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
            let sent = sqlx::query!("select pg_notify($1, $2)", DISPATCH, self.own)
                .execute(&self.store.pools.maintenance)
                .await;
            if let Err(error) = sent
                && let Some(missed) = outages.pass()
            {
                tracing::warn!(error = &error as &dyn Error, missed, "a wake was not sent; the poll floor replaces it");
            }
        }
    }

    /// Tells the other processes when jobs have ended here, at most once in `debounce`, until `stop`.
    pub async fn send_ended(self, debounce: Duration, stop: CancellationToken) {
        let outages = LogLimit::default();
        loop {
            tokio::select! {
                () = self.wakes.ended_here.notified() => {}
                () = stop.cancelled() => return,
            }
            let sent =
                sqlx::query!("select pg_notify($1, $2)", ENDED, self.own).execute(&self.store.pools.maintenance).await;
            if let Err(error) = sent
                && let Some(missed) = outages.pass()
            {
                tracing::warn!(error = &error as &dyn Error, missed, "an end was not told; the poll floor replaces it");
            }
            tokio::time::sleep(debounce).await;
        }
    }

    /// Turns wakes of other processes into wakes of this one, until `stop`. After a lost connection everything is looked at
    /// once, since wakes may have been missed.
    ///
    /// Only a process that `dispatches` takes dispatch wakes: another would pass them on, to those who sent them.
    pub async fn listen(self, dispatches: bool, stop: CancellationToken) {
        let outages = LogLimit::default();
        loop {
            let error = tokio::select! {
                error = self.listen_once(dispatches) => error,
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

    async fn listen_once(&self, dispatches: bool) -> sqlx::Error {
        let mut listener = match PgListener::connect_with(&self.store.pools.maintenance).await {
            Ok(listener) => listener,
            Err(error) => return error,
        };
        let channels: &[&str] = if dispatches { &[DISPATCH, ENDED] } else { &[ENDED] };
        if let Err(error) = listener.listen_all(channels.iter().copied()).await {
            return error;
        }
        loop {
            match listener.try_recv().await {
                Ok(Some(told)) if told.payload() == self.own => {}
                Ok(Some(told)) if told.channel() == ENDED => self.wakes.ended.notify_waiters(),
                Ok(Some(_)) => self.wakes.dispatch.notify_one(),
                // The connection was lost and found: whatever was told meanwhile, everybody looks.
                Ok(None) => {
                    if dispatches {
                        self.wakes.dispatch.notify_one();
                    }
                    self.wakes.ended.notify_waiters();
                }
                Err(error) => return error,
            }
        }
    }
}

#[cfg(test)]
mod tests;
