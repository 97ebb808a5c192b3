//! The API key of somebody who has just started.

use super::StateDir;
use crate::{config::Config, os_user, random, serve};
use anyhow::{Context, Result};
use domain::ProjectId;
use std::path::PathBuf;
use store::{
    PoolSizes, Store,
    keys::{self, KeySecret, NewKey, Scopes},
};

/// A key and where it is kept.
#[derive(Debug)]
pub(crate) struct KeptKey {
    pub(crate) path: PathBuf,
    pub(crate) made: bool,
}

/// Finds the kept key, or makes one for the project `default` where none counts in this database.
pub(super) async fn keep(config: &Config, state: &StateDir, simulated: bool) -> Result<KeptKey> {
    let name = if simulated { "api-key.simulated" } else { "api-key" };
    let path = state.file(name);
    let store = Store::open(&serve::database_options(config)?, PoolSizes::of_total(1));
    let kept = state.read(name)?.and_then(|text| KeySecret::parse(&text).ok());
    let counts = match &kept {
        Some(kept) => {
            keys::authenticate(&store, &kept.sha256()).await.context("failed to look the API key up")?.is_some()
        }
        None => false,
    };
    if !counts {
        let secret = make_key(&store, "made by falconer dev").await?;
        state.write(name, secret.expose())?;
    }
    store.close().await;
    Ok(KeptKey { path, made: !counts })
}

/// Makes a key that may do everything that a project may, for the project `default`.
pub(crate) async fn make_key(store: &Store, name: &str) -> Result<KeySecret> {
    let secret = KeySecret::of_random(&random::bytes());
    let key = NewKey::new(ProjectId::DEFAULT, name, Scopes::of_project());
    keys::create(store, &key, &secret, &os_user::by()).await.context("failed to make an API key")?;
    Ok(secret)
}
