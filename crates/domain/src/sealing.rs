//! Sealing: how a fal key lies in the database, so that whoever reads the tables, a copy of them or a backup has no key.
//!
//! AES-256-GCM with a key derived from the master secret for this use alone. The associated data names the use and the
//! credential, so that a sealed key that is copied to another row does not open there. Each secret has a name of its own,
//! the kid, which lies beside the ciphertext: secrets rotate while both are in use.

use crate::{CredentialId, token::SecretError};
use hkdf::Hkdf;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use secrecy::{
    ExposeSecret, SecretBox, SecretString,
    zeroize::{Zeroize, Zeroizing},
};
use sha2::Sha256;
use std::sync::Arc;

/// Bytes of the nonce that stand before the ciphertext.
pub const NONCE_BYTES: usize = 12;

const PURPOSE: &[u8] = b"falconer credential key 1";
const KEY_BYTES: usize = 32;
const KID_BYTES: usize = 6;

/// The keys that fal keys are sealed with. The first seals; all open. Cheap to clone.
#[derive(Clone)]
pub struct SealKeys(Arc<[Key]>);

struct Key {
    kid: String,
    bytes: SecretBox<[u8; KEY_BYTES]>,
}

/// A sealed fal key, as it lies in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
    /// Names the secret that sealed it.
    pub kid: String,
}

/// A sealed key does not open.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    #[error("it was sealed with a secret (kid {0}) that FALCONER_SECRET does not hold")]
    UnknownSecret(String),
    #[error("it was changed, or belongs to another credential")]
    Changed,
}

impl SealKeys {
    /// Derives the keys from a comma-separated list of master secrets, newest first.
    ///
    /// # Errors
    /// When the list is empty or one of them is too short.
    pub fn derive(secrets: &str) -> Result<Self, SecretError> {
        let secrets = crate::token::split_secrets(secrets)?;
        Ok(Self(secrets.into_iter().map(Key::derive).collect()))
    }

    /// Seals a key for one credential with the first secret. A nonce must never be used twice.
    pub fn seal(&self, credential: CredentialId, key: &SecretString, nonce: [u8; NONCE_BYTES]) -> Sealed {
        let sealer = &self.0[0];
        let mut bytes = nonce.to_vec();
        let mut text = key.expose_secret().as_bytes().to_vec();
        let tag = sealer
            .cipher()
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad(credential), &mut text)
            .expect("a fal key is short");
        bytes.extend_from_slice(&text);
        bytes.extend_from_slice(tag.as_ref());
        Sealed { bytes, kid: sealer.kid.clone() }
    }

    /// Opens what was sealed for this credential.
    ///
    /// # Errors
    /// When none of the secrets sealed it, or it is not what was sealed for this credential.
    pub fn open(&self, credential: CredentialId, sealed: &Sealed) -> Result<SecretString, OpenError> {
        let key = self.0.iter().find(|key| key.kid == sealed.kid);
        let key = key.ok_or_else(|| OpenError::UnknownSecret(sealed.kid.clone()))?;
        let (nonce, ciphertext) = sealed.bytes.split_first_chunk().ok_or(OpenError::Changed)?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.cipher().open_in_place(nonce, aad(credential), &mut text).map_err(|_| OpenError::Changed)?;
        let opened = std::str::from_utf8(opened).map_err(|_| OpenError::Changed)?;
        Ok(SecretString::from(opened))
    }

    /// Whether a sealed key is to be sealed anew, since the first secret is another one by now.
    pub fn is_outdated(&self, sealed: &Sealed) -> bool {
        sealed.kid != self.0[0].kid
    }
}

impl std::fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealKeys({} keys)", self.0.len())
    }
}

impl Key {
    fn derive(secret: &str) -> Self {
        let derived = Hkdf::<Sha256>::new(None, secret.as_bytes());
        let mut bytes = [0; KEY_BYTES];
        let mut kid = [0; KID_BYTES];
        derived.expand(b"falconer credential sealing", &mut bytes).expect("32 bytes is a length HKDF gives");
        derived.expand(b"falconer credential sealing kid", &mut kid).expect("6 bytes is a length HKDF gives");
        let key = Self { kid: crate::token::encode_bytes(&kid), bytes: SecretBox::new(Box::new(bytes)) };
        bytes.zeroize();
        key
    }

    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, self.bytes.expose_secret()).expect("the key has the cipher's length");
        LessSafeKey::new(key)
    }
}

fn aad(credential: CredentialId) -> Aad<Vec<u8>> {
    Aad::from([PURPOSE, credential.0.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    const NEW: &str = "a new secret of more than thirty-two bytes";
    const OLD: &str = "an old secret of more than thirty-two bytes";
    const KEY: &str = "key-id:0123456789abcdef";

    fn id(number: u128) -> CredentialId {
        CredentialId(Uuid::from_u128(number))
    }

    fn sealed_with(secrets: &str) -> Sealed {
        SealKeys::derive(secrets).unwrap().seal(id(7), &KEY.into(), [3; NONCE_BYTES])
    }

    #[test]
    fn a_sealed_key_opens_as_it_was_and_its_bytes_hold_no_part_of_it() {
        let sealed = sealed_with(NEW);

        let opened = SealKeys::derive(NEW).unwrap().open(id(7), &sealed).unwrap();

        assert_eq!(opened.expose_secret(), KEY);
        for part in KEY.as_bytes().windows(4) {
            assert!(!sealed.bytes.windows(4).any(|bytes| bytes == part), "{part:?}");
        }
    }

    #[test]
    fn a_sealed_key_does_not_open_for_another_credential_or_by_another_secret() {
        let sealed = sealed_with(NEW);
        let keys = SealKeys::derive(NEW).unwrap();

        assert_eq!(keys.open(id(8), &sealed).unwrap_err(), OpenError::Changed);
        let unknown = SealKeys::derive(OLD).unwrap().open(id(7), &sealed).unwrap_err();
        assert_eq!(unknown, OpenError::UnknownSecret(sealed.kid.clone()));
        // The name alone is no key.
        let renamed = Sealed { kid: sealed_with(OLD).kid, ..sealed };
        let both = SealKeys::derive(&format!("{NEW},{OLD}")).unwrap();
        assert_eq!(both.open(id(7), &renamed).unwrap_err(), OpenError::Changed);
    }

    #[test]
    fn after_a_rotation_of_secrets_old_keys_open_and_are_told_to_be_outdated() {
        let old = sealed_with(OLD);
        let both = SealKeys::derive(&format!("{NEW}, {OLD}")).unwrap();

        assert!(both.is_outdated(&old));
        let opened = both.open(id(7), &old).unwrap();
        let anew = both.seal(id(7), &opened, [4; NONCE_BYTES]);

        assert!(!both.is_outdated(&anew));
        assert_eq!(SealKeys::derive(NEW).unwrap().open(id(7), &anew).unwrap().expose_secret(), KEY);
    }

    #[test]
    fn the_debug_text_tells_nothing() {
        assert_eq!(format!("{:?}", SealKeys::derive(NEW).unwrap()), "SealKeys(1 keys)");
    }

    proptest! {
        #[test]
        fn bytes_that_were_changed_do_not_open(place in 0usize..60, flip in 1u8..=255, length in 0usize..60) {
            let keys = SealKeys::derive(NEW).unwrap();
            let sealed = sealed_with(NEW);
            let mut flipped = sealed.clone();
            let place = place % flipped.bytes.len();
            flipped.bytes[place] ^= flip;
            prop_assert_eq!(keys.open(id(7), &flipped).unwrap_err(), OpenError::Changed);
            let mut cut = sealed.clone();
            cut.bytes.truncate(length.min(sealed.bytes.len() - 1));
            prop_assert_eq!(keys.open(id(7), &cut).unwrap_err(), OpenError::Changed);
        }
    }
}
