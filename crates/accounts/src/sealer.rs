//! Seals fal keys for the database, and opens them.

use crate::FalKey;
use domain::{
    CredentialId,
    sealing::{NONCE_BYTES, OpenError, SealKeys, Sealed},
};
use secrecy::SecretString;
use store::{Store, credentials};

/// Seals with the master secrets of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sealer {
    seals: SealKeys,
    nonce: fn() -> [u8; NONCE_BYTES],
}

/// What sealing anew came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Keys that the first secret seals now, and did not before.
    pub done: u64,
    /// Names of credentials whose key none of the secrets opens.
    pub unreadable: Vec<String>,
}

impl Sealer {
    /// `nonce` must never give the same bytes twice.
    pub const fn new(seals: SealKeys, nonce: fn() -> [u8; NONCE_BYTES]) -> Self {
        Self { seals, nonce }
    }

    /// Seals a key for one credential with the first secret.
    pub fn seal(&self, id: CredentialId, key: &FalKey) -> Sealed {
        self.seals.seal(id, key.secret(), (self.nonce)())
    }

    /// Names of the credentials whose key none of the secrets opens, in the order of their ids. Changes nothing.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn unreadable(&self, store: &Store) -> Result<Vec<String>, store::Error> {
        let accounts = credentials::accounts(store).await?.into_iter();
        let closed =
            accounts.filter(|one| one.sealed.as_ref().is_some_and(|sealed| self.open(one.id, sealed).is_err()));
        Ok(closed.map(|account| account.name).collect())
    }

    pub(crate) fn open(&self, id: CredentialId, sealed: &Sealed) -> Result<SecretString, OpenError> {
        self.seals.open(id, sealed)
    }

    /// Seals every key anew that the first secret has not sealed.
    ///
    /// # Errors
    /// When the database cannot be asked. What was sealed before stays; running it again does the rest.
    pub async fn reseal(&self, store: &Store) -> Result<Resealed, store::Error> {
        let mut resealed = Resealed::default();
        for account in credentials::accounts(store).await? {
            let Some(sealed) = account.sealed.as_ref().filter(|sealed| self.seals.is_outdated(sealed)) else {
                continue;
            };
            let Ok(key) = self.seals.open(account.id, sealed) else {
                resealed.unreadable.push(account.name);
                continue;
            };
            let anew = self.seals.seal(account.id, &key, (self.nonce)());
            resealed.done += u64::from(credentials::replace_sealed(store, account.id, sealed, &anew).await?);
        }
        Ok(resealed)
    }
}
