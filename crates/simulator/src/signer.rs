//! fal's side of the webhook signature: keys, their rotation, the published key set and the four signed lines.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What a rotation leaves in the published key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotateMode {
    /// Only the new key.
    NewOnly,
    /// The new key and the ones before it.
    Both,
}

/// How the key set is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JwksMode {
    /// As it is.
    #[default]
    Up,
    /// Not at all: 503.
    Down,
    /// 200 with this body instead, to poison a reader.
    Body(String),
}

/// The four headers of a webhook. Public, so that tests can forge them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookHeaders {
    /// `X-Fal-Webhook-Request-Id`.
    pub request_id: String,
    /// `X-Fal-Webhook-User-Id`.
    pub user_id: String,
    /// `X-Fal-Webhook-Timestamp`: seconds since 1970, in decimal.
    pub timestamp: String,
    /// `X-Fal-Webhook-Signature`: 128 hexadecimal digits.
    pub signature: String,
}

impl WebhookHeaders {
    /// The headers by name, as they are sent.
    pub fn pairs(&self) -> [(&'static str, &str); 4] {
        [
            ("x-fal-webhook-request-id", &self.request_id),
            ("x-fal-webhook-user-id", &self.user_id),
            ("x-fal-webhook-timestamp", &self.timestamp),
            ("x-fal-webhook-signature", &self.signature),
        ]
    }
}

/// The keys: the last one signs.
#[derive(Debug)]
pub(crate) struct Signer {
    seed: u64,
    generation: u64,
    keys: Vec<SigningKey>,
    padded: bool,
}

impl Signer {
    /// Makes the first key of a seed. The same seed makes the same keys, so that a restarted simulator is still trusted.
    pub(crate) fn new(seed: u64, padded: bool) -> Self {
        Self { seed, generation: 0, keys: vec![key(seed, 0)], padded }
    }

    /// Goes on to a new key.
    pub(crate) fn rotate(&mut self, mode: RotateMode) {
        self.generation += 1;
        if mode == RotateMode::NewOnly {
            self.keys.clear();
        }
        self.keys.push(key(self.seed, self.generation));
    }

    /// Signs the four lines with the newest key.
    pub(crate) fn sign(&self, request_id: &str, user_id: &str, timestamp: i64, body: &[u8]) -> WebhookHeaders {
        let digest = hex::encode(Sha256::digest(body));
        let message = format!("{request_id}\n{user_id}\n{timestamp}\n{digest}");
        let newest = self.keys.last().expect("a signer always has a key");
        WebhookHeaders {
            request_id: request_id.to_owned(),
            user_id: user_id.to_owned(),
            timestamp: timestamp.to_string(),
            signature: hex::encode(newest.sign(message.as_bytes()).to_bytes()),
        }
    }

    /// The published key set.
    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<Value> = self
            .keys
            .iter()
            .map(|key| {
                let public = key.verifying_key().to_bytes();
                let x = if self.padded { URL_SAFE.encode(public) } else { URL_SAFE_NO_PAD.encode(public) };
                json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": hex::encode(&public[..4]), "x": x })
            })
            .collect();
        json!({ "keys": keys })
    }
}

fn key(seed: u64, generation: u64) -> SigningKey {
    let material = format!("simulated fal signing key\n{seed}\n{generation}");
    SigningKey::from_bytes(&Sha256::digest(material.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::{RotateMode, Signer};

    /// The vector of the protocol page, computed there with another library.
    #[test]
    fn the_published_vector_is_signed_alike() {
        let seed: [u8; 32] = std::array::from_fn(|n| u8::try_from(n).unwrap());
        let signer = Signer { seed: 0, generation: 0, keys: vec![SigningKey::from_bytes(&seed)], padded: false };
        let id = "11111111-2222-4333-8444-555555555555";
        let body =
            format!(r#"{{"request_id":"{id}","gateway_request_id":"{id}","status":"OK","payload":{{"images":[]}}}}"#);
        let headers = signer.sign(id, "user-0001", 1_767_225_600, body.as_bytes());
        assert_eq!(
            headers.signature,
            "c86ff70dcfb1635f799b7f192e91f95f1117dadac70ba03801f895cc29617fda\
             8caee41809a9dff56caa8d625f1c076b36d8a27c5d1fd2634f66edcf4d64700c"
        );
        assert_eq!(signer.jwks()["keys"][0]["x"], "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg");
    }

    #[test]
    fn a_rotation_changes_the_signing_key_and_the_set() {
        let mut signer = Signer::new(1, true);
        let before = signer.sign("r", "u", 0, b"").signature;
        signer.rotate(RotateMode::Both);
        assert_eq!(signer.jwks()["keys"].as_array().unwrap().len(), 2);
        assert_ne!(signer.sign("r", "u", 0, b"").signature, before);
        signer.rotate(RotateMode::NewOnly);
        assert_eq!(signer.jwks()["keys"].as_array().unwrap().len(), 1);
    }
}
