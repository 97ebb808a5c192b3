//! The key set: whatever fal's host answers, no key gets in under which a stranger's signature verifies.

use ed25519_dalek::SigningKey;
use fal::callback::{
    CallbackHeaders, JWKS_BYTES_MAX, JwksError, KEYS_MAX, REQUEST_ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER,
    USER_ID_HEADER, VerifyingKeys,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::LazyLock;

/// The public key of RFC 8032, section 7.1, test 1, as a key set writes it.
pub(crate) const TEST_1_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// The secret key of the same test.
const TEST_1_SECRET: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

/// Signatures that hold for any message under a key of small order: the identity as `R`, and zero as `S`.
static OF_NOBODY: LazyLock<Vec<CallbackHeaders>> = LazyLock::new(|| {
    ["0100000000000000000000000000000000000000000000000000000000000000", &"00".repeat(32)]
        .map(|point| headers(&format!("{point}{}", "00".repeat(32))))
        .into()
});

/// Reads the bytes as a key set.
pub fn jwks(data: &[u8]) {
    match VerifyingKeys::from_jwks(data) {
        Ok(keys) => {
            assert!(data.len() <= JWKS_BYTES_MAX);
            assert!((1..=KEYS_MAX).contains(&keys.count()));
            for forged in OF_NOBODY.iter() {
                assert!(!keys.verify(forged, b"{}"), "a weak key was let in");
            }
            assert_eq!(VerifyingKeys::from_jwks(data).unwrap(), keys);
        }
        Err(JwksError::TooLarge) => assert!(data.len() > JWKS_BYTES_MAX),
        Err(JwksError::Malformed | JwksError::NoUsableKey) => {}
    }
}

pub(crate) fn test_1() -> SigningKey {
    let mut secret = [0; 32];
    hex::decode_to_slice(TEST_1_SECRET, &mut secret).unwrap();
    SigningKey::from_bytes(&secret)
}

pub(crate) fn set_of(x: &str) -> String {
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}]}}"#)
}

fn headers(signature: &str) -> CallbackHeaders {
    let mut map = HeaderMap::new();
    for (name, value) in [
        (REQUEST_ID_HEADER, "7-a"),
        (USER_ID_HEADER, "user"),
        (TIMESTAMP_HEADER, "1700000000"),
        (SIGNATURE_HEADER, signature),
    ] {
        map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    CallbackHeaders::from(&map).unwrap()
}
