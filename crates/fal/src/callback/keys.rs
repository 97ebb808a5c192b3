//! The keys under which fal signs, read from its JWKS, and the verification itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use failpoints::Bug;
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::headers::CallbackHeaders;

/// The largest key set that is read, in bytes.
pub const JWKS_BYTES_MAX: usize = 64 * 1024;

/// How many usable keys of a set are taken; each costs a verification per forged callback.
pub const KEYS_MAX: usize = 16;

/// The usable keys of a set; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKeys(Vec<VerifyingKey>);

/// The bytes are no key set that can be used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum JwksError {
    #[error("the key set is larger than 64 kB")]
    TooLarge,
    #[error("the key set is not JSON of the expected shape")]
    Malformed,
    #[error("the key set has no usable key")]
    NoUsableKey,
}

#[derive(Deserialize)]
struct Jwks<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: Option<String>,
    crv: Option<String>,
    x: String,
}

impl VerifyingKeys {
    /// Reads a key set. Keys of another kind, malformed or oddly encoded keys and weak ones (of small order, under
    /// which anything verifies) are passed over; of the usable ones the first [`KEYS_MAX`] are taken.
    pub fn from_jwks(bytes: &[u8]) -> Result<Self, JwksError> {
        if bytes.len() > JWKS_BYTES_MAX {
            return Err(JwksError::TooLarge);
        }
        let set: Jwks<'_> = serde_json::from_slice(bytes).map_err(|_| JwksError::Malformed)?;
        let keys: Vec<_> = set.keys.into_iter().filter_map(usable_key).take(KEYS_MAX).collect();
        if keys.is_empty() {
            return Err(JwksError::NoUsableKey);
        }
        Ok(Self(keys))
    }

    /// Whether one of the keys signed these headers over this body, by the strict rules of Ed25519. The headers name
    /// no key, so each is tried.
    pub fn verify(&self, headers: &CallbackHeaders, body: &[u8]) -> bool {
        self.signed(&headers.signed_message(body), &headers.signature) || failpoints::seeded(Bug::LaxVerify)
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        self.0.iter().any(|key| key.verify_strict(message, &signature).is_ok())
    }
}

fn usable_key(raw: &RawValue) -> Option<VerifyingKey> {
    let jwk: Jwk = serde_json::from_str(raw.get()).ok()?;
    let is_ed25519 = jwk.kty.is_none_or(|kty| kty == "OKP") && jwk.crv.is_none_or(|crv| crv == "Ed25519");
    // Seen both with padding and without.
    let x = URL_SAFE_NO_PAD.decode(jwk.x.trim_end_matches('=')).ok()?;
    let key = VerifyingKey::from_bytes(&x.try_into().ok()?).ok()?;
    // RFC 8032, 5.1.3: a coordinate beyond the prime is no encoding, although the library takes it.
    let is_canonical = key.to_edwards().compress().as_bytes() == key.as_bytes();
    (is_ed25519 && is_canonical && !key.is_weak()).then_some(key)
}

#[cfg(test)]
mod tests;
