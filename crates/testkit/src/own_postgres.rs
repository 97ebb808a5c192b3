//! A Postgres that a story may stop.

use anyhow::{Context as _, Result};
use dev_postgres::{Cluster, ClusterOptions, Durability};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};
use url::Url;
use uuid::Uuid;

/// A Postgres that belongs to one world alone, so that it may be stopped. Clones are the same one.
#[derive(Clone, Debug)]
pub struct OwnPostgres {
    cluster: Arc<Mutex<Option<Cluster>>>,
    dir: PathBuf,
}

impl OwnPostgres {
    pub(crate) async fn start() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("falconer-world-pg-{}", Uuid::new_v4().simple()));
        let own = Self { cluster: Arc::default(), dir: dev_postgres::usable_dir(&dir)? };
        own.start_again().await?;
        Ok(own)
    }

    /// Kills the server and starts it again at once, as after a crash.
    ///
    /// # Errors
    /// When it does not start, or is not running.
    pub async fn restart_immediate(&self) -> Result<()> {
        self.blocking(|slot, _| slot.as_mut().context("Postgres is stopped")?.restart_immediate()).await
    }

    /// Stops the server and leaves its files.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&self) -> Result<()> {
        self.blocking(|slot, _| slot.take().map_or(Ok(()), Cluster::stop)).await
    }

    /// Starts a stopped server.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&self) -> Result<()> {
        self.blocking(|slot, dir| {
            let settings = vec![("max_connections".to_owned(), "100".to_owned())];
            let options = ClusterOptions { dir, durability: Durability::ThrowAway, settings, port: 5432 };
            *slot = Some(Cluster::start(options)?);
            Ok(())
        })
        .await
    }

    /// Of the maintenance database.
    pub(crate) fn url(&self) -> Result<Url> {
        let cluster = self.cluster.lock().expect("no holder panics");
        let url = cluster.as_ref().context("Postgres is stopped")?.url("postgres");
        Url::parse(&url).context("the cluster's URL")
    }

    async fn blocking(
        &self,
        work: impl FnOnce(&mut Option<Cluster>, PathBuf) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let own = self.clone();
        tokio::task::spawn_blocking(move || {
            let mut cluster = own.cluster.lock().expect("no holder panics");
            work(&mut cluster, own.dir.clone())
        })
        .await?
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        if Arc::strong_count(&self.cluster) == 1 {
            if let Ok(mut cluster) = self.cluster.lock() {
                cluster.take();
            }
            // What cannot be removed is the temporary directory's affair.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
