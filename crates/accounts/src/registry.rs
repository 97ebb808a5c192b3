//! Which accounts there are, and the client of each.

use crate::Sealer;
use domain::{
    CredentialId,
    sealing::{OpenError, Sealed},
};
use fal::{ClientConfig, QueueClient, client::ConfigError};
use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use store::{
    Store,
    credentials::{self, Account},
    log_limit::LogLimit,
};
use tokio_util::sync::CancellationToken;

/// How often the accounts are read: a change is in use within five seconds everywhere.
const READ_EVERY: Duration = Duration::from_secs(2);

/// What clients are made of.
#[derive(Clone, Debug)]
pub struct AccountsConfig {
    /// Where fal is, with the key of the default credential.
    pub default: ClientConfig,
    /// The connections that all clients share.
    pub http: reqwest::Client,
    pub sealer: Sealer,
}

/// The accounts of this installation. Cheap to clone; all clones share what was read.
#[derive(Clone, Debug)]
pub struct Accounts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    config: AccountsConfig,
    known: RwLock<HashMap<CredentialId, Known>>,
    outages: LogLimit,
}

/// An account as it was last read.
#[derive(Clone, Debug)]
struct Known {
    account: Account,
    /// Nothing where its key does not open and no earlier one did.
    client: Option<Arc<QueueClient>>,
}

/// An account for which jobs may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveAccount {
    pub id: CredentialId,
    pub slots: u32,
}

/// There is no client for a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoClient {
    #[error("there is no such credential")]
    Unknown,
    #[error("the key of the credential cannot be opened with FALCONER_SECRET")]
    Unreadable,
    #[error("the credentials cannot be read")]
    Unavailable,
}

impl Accounts {
    /// Knows the default account at once, with `slots` until the database was read; nothing is read yet.
    ///
    /// # Errors
    /// When the settings or the default key cannot be used.
    pub fn new(store: Store, config: AccountsConfig, slots: u32) -> Result<Self, ConfigError> {
        let id = CredentialId::DEFAULT;
        let account = Account { id, name: "default".to_owned(), slots, sealed: None, is_disabled: false };
        let client = Some(Arc::new(QueueClient::new(config.default.clone(), config.http.clone())?));
        let known = RwLock::new(HashMap::from([(id, Known { account, client })]));
        Ok(Self(Arc::new(Inner { store, config, known, outages: LogLimit::default() })))
    }

    /// Reads the accounts until `stop`, so that changes are noticed.
    pub async fn keep(self, stop: CancellationToken) {
        while tokio::time::timeout(READ_EVERY, stop.cancelled()).await.is_err() {
            if let Err(error) = self.refresh().await
                && let Some(missed) = self.0.outages.pass()
            {
                tracing::warn!(
                    error = &error as &dyn Error,
                    missed,
                    "the credentials cannot be read; the last ones hold"
                );
            }
        }
    }

    /// Reads the accounts now.
    ///
    /// # Errors
    /// When the database cannot be asked. What was read before holds on.
    pub async fn refresh(&self) -> Result<(), store::Error> {
        let accounts = credentials::accounts(&self.0.store).await?;
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        let read: HashMap<_, _> =
            accounts.into_iter().map(|account| (account.id, self.know(account, &known))).collect();
        *known = read;
        let unusable = known.values().filter(|known| known.client.is_none()).count();
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("falconer_credentials_unusable").set(unusable as f64);
        Ok(())
    }

    /// The client of an account, disabled or not: what fal has already is still looked after. An account that was made a
    /// moment ago is read.
    ///
    /// # Errors
    /// When there is no such account, or its key does not open.
    pub async fn client(&self, id: CredentialId) -> Result<Arc<QueueClient>, NoClient> {
        if !self.read().contains_key(&id) {
            self.refresh().await.map_err(|_| NoClient::Unavailable)?;
        }
        let known = self.read();
        let known = known.get(&id).ok_or(NoClient::Unknown)?;
        known.client.clone().ok_or(NoClient::Unreadable)
    }

    /// The client of the default account, which is always there.
    pub fn default_client(&self) -> Arc<QueueClient> {
        let known = self.read();
        let client = known.get(&CredentialId::DEFAULT).and_then(|known| known.client.clone());
        client.expect("the default account is made by the first migration, and its key was checked at the start")
    }

    /// The accounts for which jobs may be sent.
    pub fn active(&self) -> Vec<ActiveAccount> {
        let known = self.read();
        let usable = known.values().filter(|known| known.client.is_some() && !known.account.is_disabled);
        usable.map(|known| ActiveAccount { id: known.account.id, slots: known.account.slots }).collect()
    }

    /// Every account that fal can be asked about, disabled or not.
    pub fn usable(&self) -> Vec<CredentialId> {
        let known = self.read();
        known.values().filter(|known| known.client.is_some()).map(|known| known.account.id).collect()
    }

    /// Seals the keys of these accounts.
    pub fn sealer(&self) -> &Sealer {
        &self.0.config.sealer
    }

    /// Takes over what was read. An account whose key is as it was keeps its client, and so does one whose new key does not
    /// open: it may be another process's turn to be given the new secret first.
    fn know(&self, account: Account, before: &HashMap<CredentialId, Known>) -> Known {
        let earlier = before.get(&account.id);
        let Some(sealed) = &account.sealed else {
            let client = earlier.and_then(|earlier| earlier.client.clone());
            return Known { account, client };
        };
        if let Some(earlier) = earlier.filter(|earlier| earlier.account.sealed.as_ref() == Some(sealed)) {
            return Known { account, client: earlier.client.clone() };
        }
        let client = match self.open(account.id, sealed) {
            Ok(client) => Some(client),
            Err(error) => {
                let credential = account.name.as_str();
                tracing::warn!(
                    error = &error as &dyn Error,
                    credential,
                    "the key of the credential {credential} does not open"
                );
                earlier.and_then(|earlier| earlier.client.clone())
            }
        };
        Known { account, client }
    }

    fn open(&self, id: CredentialId, sealed: &Sealed) -> Result<Arc<QueueClient>, Unusable> {
        let key = self.0.config.sealer.open(id, sealed)?;
        let config = ClientConfig { key, ..self.0.config.default.clone() };
        Ok(Arc::new(QueueClient::new(config, self.0.config.http.clone())?))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<CredentialId, Known>> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a sealed key makes no client.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Sealed(#[from] OpenError),
    #[error("fal's client takes no such key")]
    Key(#[from] ConfigError),
}

#[cfg(test)]
mod tests;
