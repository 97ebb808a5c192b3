//! Keys by number, sets of them, and callbacks that they signed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use fal::callback::{CallbackHeaders, signed_message};
use std::time::Duration;

pub(crate) const BODY: &[u8] = b"{\"request_id\":\"7-a\",\"status\":\"OK\"}";

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

/// The `x` of a key's JWK.
pub(crate) fn x_of(number: u8) -> String {
    URL_SAFE_NO_PAD.encode(key(number).verifying_key().as_bytes())
}

pub(crate) fn set_of(numbers: &[u8]) -> String {
    let keys: Vec<String> = numbers.iter().map(|number| format!(r#"{{"x":"{}"}}"#, x_of(*number))).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

pub(crate) fn signed_by(number: u8) -> CallbackHeaders {
    let signature = key(number).sign(&signed_message("7-a", "user", "1700000000", BODY));
    let mut map = http::HeaderMap::new();
    for (name, value) in [("request-id", "7-a"), ("user-id", "user"), ("timestamp", "1700000000")] {
        map.insert(http::HeaderName::try_from(format!("x-fal-webhook-{name}")).unwrap(), value.parse().unwrap());
    }
    map.insert("x-fal-webhook-signature", hex::encode(signature.to_bytes()).parse().unwrap());
    CallbackHeaders::from(&map).unwrap()
}

/// Moves the monotonic clock without letting it run ahead of the sockets.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
