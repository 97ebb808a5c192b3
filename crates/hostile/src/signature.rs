//! The headers of a callback and its signature.

use crate::jwks::{TEST_1_X, set_of, test_1};
use ed25519_dalek::Signer as _;
use fal::{
    callback::{CallbackHeaders, REQUEST_ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, USER_ID_HEADER, VerifyingKeys},
    request_id::is_usable_request_id,
};
use http::{HeaderMap, HeaderName, HeaderValue};

const NAMES: [&str; 4] = [REQUEST_ID_HEADER, USER_ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER];

/// Reads four lines as the headers (request id, user id, stamp, signature) and the rest as the body, and verifies them
/// with the key of RFC 8032, test 1.
///
/// Ed25519 signs deterministically, so a signature that verifies and is not the one that the key makes is a forgery.
pub fn callback_verify(data: &[u8]) {
    let mut parts = data.splitn(5, |byte| *byte == b'\n');
    let mut map = HeaderMap::new();
    for name in NAMES {
        // What the HTTP server would refuse never comes here.
        let Some(Ok(value)) = parts.next().map(HeaderValue::from_bytes) else { return };
        map.insert(HeaderName::from_static(name), value);
    }
    let body = parts.next().unwrap_or_default();
    let Ok(headers) = CallbackHeaders::from(&map) else { return };
    assert!(is_usable_request_id(&headers.request_id));
    assert!(headers.user_id.bytes().all(|byte| byte.is_ascii_graphic()) && headers.timestamp >= 0);

    let keys = VerifyingKeys::from_jwks(set_of(TEST_1_X).as_bytes()).unwrap();
    let made = test_1().sign(&headers.signed_message(body)).to_bytes();
    assert_eq!(keys.verify(&headers, body), made == headers.signature, "{headers:?}");
    what_the_key_signed_verifies_for_these_bytes_alone(&keys, map, made, body);
}

fn what_the_key_signed_verifies_for_these_bytes_alone(
    keys: &VerifyingKeys,
    mut map: HeaderMap,
    made: [u8; 64],
    body: &[u8],
) {
    map.insert(SIGNATURE_HEADER, hex::encode(made).parse().unwrap());
    let headers = CallbackHeaders::from(&map).unwrap();
    assert!(keys.verify(&headers, body));
    assert!(!keys.verify(&headers, &[body, b" "].concat()));
    if let Some((_, shorter)) = body.split_last() {
        assert!(!keys.verify(&headers, shorter));
    }
    // The same second written otherwise is another message, and what is stored of it could not be verified again.
    map.insert(TIMESTAMP_HEADER, format!("0{}", map[TIMESTAMP_HEADER].to_str().unwrap()).parse().unwrap());
    assert!(CallbackHeaders::from(&map).is_err());
}
