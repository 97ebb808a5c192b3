use ed25519_dalek::{Signer, SigningKey, Verifier};

use super::*;
use crate::callback::{REQUEST_ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, USER_ID_HEADER};

mod edge_points;
mod wycheproof;

const RFC8032_KEY_1: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn headers(request_id: &str, user_id: &str, timestamp: &str, signature: &str) -> CallbackHeaders {
    let mut map = http::HeaderMap::new();
    for (name, value) in [
        (REQUEST_ID_HEADER, request_id),
        (USER_ID_HEADER, user_id),
        (TIMESTAMP_HEADER, timestamp),
        (SIGNATURE_HEADER, signature),
    ] {
        map.insert(name, value.parse().unwrap());
    }
    CallbackHeaders::from(&map).unwrap()
}

fn set_of(xs: &[String]) -> String {
    let keys: Vec<String> = xs.iter().map(|x| format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn keys(xs: &[&str]) -> VerifyingKeys {
    let xs: Vec<String> = xs.iter().map(|x| (*x).to_owned()).collect();
    VerifyingKeys::from_jwks(set_of(&xs).as_bytes()).unwrap()
}

fn signing_key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn x_of(key: &SigningKey) -> String {
    URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes())
}

fn signed_by(key: &SigningKey, body: &[u8]) -> CallbackHeaders {
    let message = crate::callback::signed_message("7-a", "user", "1700000000", body);
    headers("7-a", "user", "1700000000", &hex::encode(key.sign(&message).to_bytes()))
}

#[test]
fn the_vector_of_the_protocol_page_verifies_with_and_without_padding() {
    let body = br#"{"request_id":"11111111-2222-4333-8444-555555555555","gateway_request_id":"11111111-2222-4333-8444-555555555555","status":"OK","payload":{"images":[]}}"#;
    assert_eq!(body.len(), 151);
    let headers = headers(
        "11111111-2222-4333-8444-555555555555",
        "user-0001",
        "1767225600",
        "c86ff70dcfb1635f799b7f192e91f95f1117dadac70ba03801f895cc29617fda8caee41809a9dff56caa8d625f1c076b36d8a27c5d1fd2634f66edcf4d64700c",
    );
    assert_eq!(headers.signed_message(body).len(), 122);
    for x in ["A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg", "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="] {
        assert!(keys(&[x]).verify(&headers, body));
    }
    assert!(!keys(&[RFC8032_KEY_1]).verify(&headers, body));
}

/// Vector FAL1. S01: the same JSON written in another way must fail.
#[test]
fn only_the_raw_bytes_verify() {
    let id = "11111111-1111-4111-8111-111111111111";
    let body = format!(
        r#"{{"error":null,"gateway_request_id":"{id}","payload":{{"seed":17454220438242315174}},"request_id":"{id}","status":"OK"}}"#
    );
    let signature = "c16c51f69b55712a893e0a9b0cc38ba97e3c7c92c8c77106b4b6c1098ac8a5184b3b16b4d9b0f646ecee977fbcc561daa603c4790206a0dfacd519ce35229302";
    let good = headers(id, "user_test", "1700000000", signature);
    let keys = keys(&[RFC8032_KEY_1]);
    assert!(keys.verify(&good, body.as_bytes()));
    for changed in [body.replace(':', ": "), format!("{body}\n"), body.replace("174", "175"), String::new()] {
        assert!(!keys.verify(&good, changed.as_bytes()));
    }
    for (request_id, user_id, timestamp) in [
        ("21111111-1111-4111-8111-111111111111", "user_test", "1700000000"),
        (id, "user_tesu", "1700000000"),
        (id, "user_test", "1700000001"),
    ] {
        assert!(!keys.verify(&headers(request_id, user_id, timestamp, signature), body.as_bytes()));
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_signature_fails() {
    let body = b"{}";
    let key = signing_key(1);
    let (good, keys) = (signed_by(&key, body), keys(&[&x_of(&key)]));
    assert!(keys.verify(&good, body));
    for bit in 0..512 {
        let mut bad = good.clone();
        bad.signature[bit / 8] ^= 1 << (bit % 8);
        assert!(!keys.verify(&bad, body), "bit {bit}");
    }
}

/// RFC 8032, section 7.1, tests 1 to 3: key, message, signature.
#[test]
fn the_vectors_of_rfc_8032_pass_and_their_changes_fail() {
    for (key, message, signature) in [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let x = URL_SAFE_NO_PAD.encode(hex::decode(key).unwrap());
        let keys = keys(&[&x]);
        let (message, good) = (hex::decode(message).unwrap(), hex::decode(signature).unwrap());
        let verifies = |bytes: &[u8]| {
            let signature = bytes.try_into().unwrap();
            keys.signed(&message, signature)
        };
        assert!(verifies(&good));
        assert!(!verifies(&plus_group_order(&good)), "S + L is the same point and must not pass");
        for bit in 0..512 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!verifies(&bad));
        }
    }
}

#[test]
fn the_malleable_twin_of_test_1_ends_as_the_page_says() {
    let good = hex::decode("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b").unwrap();
    let twin = hex::encode(plus_group_order(&good));
    assert!(twin[64..].starts_with("4c8c7872") && twin.ends_with("7a101b"), "{twin}");
}

/// Adds the order of the group to the second half of a signature.
fn plus_group_order(signature: &[u8]) -> Vec<u8> {
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut sum = signature.to_vec();
    let mut carry = 0;
    for (byte, add) in sum[32..].iter_mut().zip(order) {
        let total = u16::from(*byte) + u16::from(add) + carry;
        *byte = total.to_le_bytes()[0];
        carry = total >> 8;
    }
    sum
}

#[test]
fn the_identity_key_verifies_anything_laxly_and_is_not_let_in() {
    let mut point = [0; 32];
    point[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let (key, signature) = (VerifyingKey::from_bytes(&point).unwrap(), Signature::from_bytes(&signature));
    assert!(key.verify(b"any message", &signature).is_ok());
    assert!(key.verify_strict(b"any message", &signature).is_err());
    let set = set_of(&[URL_SAFE_NO_PAD.encode(point)]);
    assert_eq!(VerifyingKeys::from_jwks(set.as_bytes()), Err(JwksError::NoUsableKey));
}

/// The table of F41.
#[test]
fn a_poisoned_key_set_gives_no_key() {
    let good = RFC8032_KEY_1;
    let weak: Vec<String> = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ]
    .iter()
    .map(|point| URL_SAFE_NO_PAD.encode(hex::decode(point).unwrap()))
    .collect();
    let none = JwksError::NoUsableKey;
    for (what, set, error) in [
        ("empty", r#"{"keys":[]}"#.to_owned(), none),
        ("weak", set_of(&weak), none),
        ("31 bytes", set_of(&[URL_SAFE_NO_PAD.encode([7; 31])]), none),
        ("33 bytes", set_of(&[URL_SAFE_NO_PAD.encode([7; 33])]), none),
        ("standard alphabet", set_of(&[good.replace('_', "/")]), none),
        ("kty", format!(r#"{{"keys":[{{"kty":"RSA","x":"{good}"}}]}}"#), none),
        ("crv", format!(r#"{{"keys":[{{"kty":"OKP","crv":"X25519","x":"{good}"}}]}}"#), none),
        ("no x", r#"{"keys":[{"kty":"OKP"},7,null,"x",[]]}"#.to_owned(), none),
        ("HTML", "<!doctype html><title>502</title>".to_owned(), JwksError::Malformed),
        ("a list", format!(r#"[{{"x":"{good}"}}]"#), JwksError::Malformed),
        ("nothing", String::new(), JwksError::Malformed),
        ("50 MB", " ".repeat(50 << 20), JwksError::TooLarge),
    ] {
        assert_eq!(VerifyingKeys::from_jwks(set.as_bytes()), Err(error), "{what}");
    }
    let many = set_of(&vec![good.to_owned(); 10_000]);
    assert_eq!(VerifyingKeys::from_jwks(many.as_bytes()), Err(JwksError::TooLarge));
}

#[test]
fn a_bad_key_does_not_spoil_the_good_ones() {
    let set =
        format!(r#"{{"keys":[{{"x":7}},{{"kty":"RSA","n":"a"}},{{"x":"{RFC8032_KEY_1}","kid":"1","use":"sig"}}]}}"#);
    assert_eq!(VerifyingKeys::from_jwks(set.as_bytes()).unwrap().count(), 1);
}

/// S03: every key is tried, at most sixteen.
#[test]
fn the_sixteenth_key_counts_and_the_seventeenth_does_not() {
    let body = b"{}";
    let all: Vec<SigningKey> = (1..=17).map(signing_key).collect();
    let set = set_of(&all.iter().map(x_of).collect::<Vec<_>>());
    let keys = VerifyingKeys::from_jwks(set.as_bytes()).unwrap();
    assert_eq!(keys.count(), KEYS_MAX);
    assert!(keys.verify(&signed_by(&all[15], body), body));
    assert!(!keys.verify(&signed_by(&all[16], body), body));
}
