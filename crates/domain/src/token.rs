//! The token in a callback URL: it routes a callback to its attempt before anything is read from the database.
//!
//! `{kid}.{credential}.{attempt}.{tag}`, each part base64url without padding. The tag is HMAC-SHA-256 over
//! `"cb1" | credential | attempt`, cut to 128 bits. Nothing is stored, junk costs one MAC, and keys rotate by `kid`.
//! A token is no proof that fal called: the signature is.

use crate::{AttemptId, CredentialId};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Bytes of a master secret below which it is refused.
pub const SECRET_BYTES_MIN: usize = 32;

const LABEL: &[u8] = b"cb1";
const TAG_BYTES: usize = 16;
const KID_BYTES: usize = 3;

/// The keys that tokens are signed and checked with. The first signs; all verify.
#[derive(Clone)]
pub struct TokenKeys(Vec<Key>);

#[derive(Clone)]
struct Key {
    kid: String,
    mac: Hmac<Sha256>,
}

/// A master secret that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretError {
    #[error("no secret is given")]
    Missing,
    #[error("secret {place} has {bytes} bytes, and at least {SECRET_BYTES_MIN} are needed")]
    TooShort { place: usize, bytes: usize },
}

impl TokenKeys {
    /// Derives the keys from a comma-separated list of master secrets, newest first.
    pub fn derive(secrets: &str) -> Result<Self, SecretError> {
        Ok(Self(split_secrets(secrets)?.into_iter().map(|secret| Key::derive(secret.as_bytes())).collect()))
    }

    /// Makes the token of an attempt. The same attempt always gets the same one from the same key.
    pub fn sign(&self, credential: CredentialId, attempt: AttemptId) -> String {
        let key = &self.0[0];
        let tag = key.tag(credential, attempt);
        format!("{}.{}.{}.{}", key.kid, encode(credential.0), encode(attempt.0), BASE64.encode(tag))
    }

    /// Reads a token that one of the keys signed. Compares in constant time, and says nothing of what was wrong.
    pub fn verify(&self, token: &str) -> Option<(CredentialId, AttemptId)> {
        let mut parts = token.split('.');
        let (kid, credential, attempt, tag) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let key = self.0.iter().find(|key| key.kid == kid)?;
        let (credential, attempt) = (CredentialId(decode(credential)?), AttemptId(decode(attempt)?));
        let tag = BASE64.decode(tag).ok()?;
        bool::from(key.tag(credential, attempt).as_slice().ct_eq(&tag)).then_some((credential, attempt))
    }
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenKeys({} keys)", self.0.len())
    }
}

impl Key {
    fn derive(secret: &[u8]) -> Self {
        let derived = Hkdf::<Sha256>::new(None, secret);
        let mut bytes = [0; 32];
        let mut kid = [0; KID_BYTES];
        derived.expand(b"falconer callback token", &mut bytes).expect("32 bytes is a length HKDF gives");
        derived.expand(b"falconer callback token kid", &mut kid).expect("3 bytes is a length HKDF gives");
        let mac = Hmac::new_from_slice(&bytes).expect("HMAC takes keys of any length");
        Self { kid: BASE64.encode(kid), mac }
    }

    fn tag(&self, credential: CredentialId, attempt: AttemptId) -> [u8; TAG_BYTES] {
        let mut mac = self.mac.clone();
        mac.update(LABEL);
        mac.update(credential.0.as_bytes());
        mac.update(attempt.0.as_bytes());
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&mac.finalize().into_bytes()[..TAG_BYTES]);
        tag
    }
}

/// Reads a comma-separated list of master secrets: at least one, each long enough.
pub(crate) fn split_secrets(secrets: &str) -> Result<Vec<&str>, SecretError> {
    let secrets: Vec<&str> = secrets.split(',').map(str::trim).filter(|secret| !secret.is_empty()).collect();
    if secrets.is_empty() {
        return Err(SecretError::Missing);
    }
    match secrets.iter().position(|secret| secret.len() < SECRET_BYTES_MIN) {
        Some(index) => Err(SecretError::TooShort { place: index + 1, bytes: secrets[index].len() }),
        None => Ok(secrets),
    }
}

pub(crate) fn encode_bytes(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

fn encode(id: Uuid) -> String {
    BASE64.encode(id.as_bytes())
}

fn decode(text: &str) -> Option<Uuid> {
    Uuid::from_slice(&BASE64.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NEW: &str = "a new secret of more than thirty-two bytes";
    const OLD: &str = "an old secret of more than thirty-two bytes";

    fn ids() -> (CredentialId, AttemptId) {
        (CredentialId(Uuid::from_u128(7)), AttemptId(Uuid::from_u128(9)))
    }

    #[test]
    fn a_token_reads_back_as_its_ids() {
        let keys = TokenKeys::derive(NEW).unwrap();
        let (credential, attempt) = ids();

        assert_eq!(keys.verify(&keys.sign(credential, attempt)), Some(ids()));
    }

    #[test]
    fn after_a_rotation_old_tokens_still_verify_and_new_ones_are_signed_by_the_new_secret() {
        let (credential, attempt) = ids();
        let old = TokenKeys::derive(OLD).unwrap().sign(credential, attempt);
        let both = TokenKeys::derive(&format!("{NEW}, {OLD}")).unwrap();

        assert_eq!(both.verify(&old), Some(ids()));
        assert_eq!(TokenKeys::derive(NEW).unwrap().verify(&old), None);
        assert_eq!(TokenKeys::derive(NEW).unwrap().verify(&both.sign(credential, attempt)), Some(ids()));
    }

    #[test]
    fn short_and_missing_secrets_are_refused() {
        assert_eq!(TokenKeys::derive(" , ").unwrap_err(), SecretError::Missing);
        let short = TokenKeys::derive(&format!("{NEW},short")).unwrap_err();
        assert_eq!(short, SecretError::TooShort { place: 2, bytes: 5 });
    }

    proptest! {
        #[test]
        fn a_token_with_any_other_byte_is_junk(place in 0usize..70, byte in 33u8..127) {
            let keys = TokenKeys::derive(NEW).unwrap();
            let (credential, attempt) = ids();
            let token = keys.sign(credential, attempt);
            let mut bytes = token.clone().into_bytes();
            let place = place % bytes.len();
            bytes[place] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            // Base64's last character of a part may hold unused bits, which the decoder refuses.
            prop_assert_eq!(keys.verify(&changed).is_some(), changed == token);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = TokenKeys::derive(NEW).unwrap().verify(&text);
        }
    }
}
