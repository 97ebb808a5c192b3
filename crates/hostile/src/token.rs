//! The token in a callback's URL: the one thing that is read of a stranger before anything else.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{AttemptId, CredentialId, TokenKeys};
use std::sync::LazyLock;
use uuid::Uuid;

static KEYS: LazyLock<TokenKeys> = LazyLock::new(|| TokenKeys::derive(&"s".repeat(32)).unwrap());

/// Reads the bytes as a token. The only ones that pass are those that the keys make, letter for letter.
pub fn callback_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some((credential, attempt)) = KEYS.verify(text) {
        assert_eq!(KEYS.sign(credential, attempt), text, "two texts pass for one attempt");
    }
    if let Some(bytes) = data.first_chunk::<16>() {
        let (credential, attempt) = (CredentialId::DEFAULT, AttemptId(Uuid::from_bytes(*bytes)));
        let token = KEYS.sign(credential, attempt);
        assert_eq!(KEYS.verify(&token), Some((credential, attempt)));
        let (rest, tag) = token.rsplit_once('.').unwrap();
        let mut forged = URL_SAFE_NO_PAD.decode(tag).unwrap();
        for byte in 0..forged.len() {
            forged[byte] ^= 1 << (bytes[byte % 16] % 8);
            assert_eq!(KEYS.verify(&format!("{rest}.{}", URL_SAFE_NO_PAD.encode(&forged))), None);
        }
    }
}
