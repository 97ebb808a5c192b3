//! The private Postgres, whose calls block, for callers that must not.

use anyhow::{Context, Result};
use dev_postgres::{Cluster, ClusterOptions};

/// Modest, for a machine on which other things run too.
pub(crate) fn settings() -> Vec<(String, String)> {
    [("shared_buffers", "64MB"), ("max_connections", "100"), ("max_wal_size", "256MB")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// Starts a cluster that is kept.
pub(crate) async fn start(options: ClusterOptions) -> Result<Cluster> {
    blocking(move || Cluster::start(options)).await
}

/// Starts a cluster whose commits are as durable as any, in a directory that vanishes with this process.
pub(crate) async fn start_passing() -> Result<Cluster> {
    let mut settings = settings();
    settings.extend(["fsync", "full_page_writes"].map(|name| (name.to_owned(), "on".to_owned())));
    blocking(move || Cluster::temporary(settings)).await
}

/// Creates a database unless it is there, and says where it is.
pub(crate) fn database(cluster: &Cluster, name: &str) -> Result<String> {
    // The call lasts as long as one `create database`, before anything else runs in this process.
    tokio::task::block_in_place(|| cluster.create_database(name))?;
    Ok(cluster.url(name))
}

/// Stops the server and returns when it is gone.
pub(crate) async fn stop(cluster: Cluster) -> Result<()> {
    blocking(move || cluster.stop()).await
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(call).await.context("the private Postgres' caller panicked")?
}
