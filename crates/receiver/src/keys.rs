//! fal's keys, kept across restarts.

use fal::jwks::KeyStore;
use std::error::Error;
use store::{Store, key_sets};
use tokio_util::sync::CancellationToken;

/// Loads the set that an earlier process kept, so that fal's key host need not be there when we start.
pub async fn load(store: &Store, keys: &KeyStore, url: &str) {
    match key_sets::find(store, url).await {
        Ok(Some(set)) => {
            if let Err(error) = keys.load_persisted(&set.body, set.fetched_at.timestamp()) {
                tracing::warn!(error = &error as &dyn Error, "the kept key set cannot be used");
            }
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(error = &error as &dyn Error, "the kept key set cannot be read"),
    }
}

/// Keeps every set that is fetched, until `stop`. Where none was kept by an earlier process it fetches one at once, so that
/// the first callback does not wait for it; where that fails, a callback makes us fetch.
pub async fn keep(store: Store, keys: KeyStore, url: String, stop: CancellationToken) {
    let mut sets = keys.fresh_sets();
    if keys.age().is_none() {
        keys.refresh().await;
    }
    loop {
        tokio::select! {
            changed = sets.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
        let fresh = sets.borrow_and_update().clone();
        if let Some(set) = fresh
            && let Err(error) = key_sets::save(&store, &url, &set.bytes).await
        {
            tracing::warn!(error = &error as &dyn Error, "the key set cannot be kept");
        }
    }
}
