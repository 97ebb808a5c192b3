//! Project Wycheproof's vectors for Ed25519; `tests/data/wycheproof` says where they come from.

use super::*;
use serde::Deserialize;

const VECTORS: &str = include_str!("../../../../tests/data/wycheproof/ed25519_test.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    number_of_tests: usize,
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    public_key: PublicKey,
    public_key_jwk: serde_json::Value,
    tests: Vec<Vector>,
}

#[derive(Deserialize)]
struct PublicKey {
    pk: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    tc_id: u32,
    comment: String,
    msg: String,
    sig: String,
    result: String,
}

/// S02. A signature goes the way of a header, so that one of another length is refused there.
#[test]
fn wycheproofs_signatures_verify_where_they_are_valid_and_nowhere_else() {
    let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
    let mut tried = [0, 0];
    for group in vectors.test_groups {
        let set = format!(r#"{{"keys":[{}]}}"#, group.public_key_jwk);
        let keys = VerifyingKeys::from_jwks(set.as_bytes()).unwrap();
        assert_eq!(keys.0[0].as_bytes(), hex::decode(group.public_key.pk).unwrap().as_slice());
        for vector in group.tests {
            let valid = vector.result == "valid";
            assert!(valid || vector.result == "invalid", "{}", vector.result);
            let message = hex::decode(&vector.msg).unwrap();
            let signature = signature_of_header(&vector.sig);
            let verifies = signature.is_some_and(|signature| keys.signed(&message, &signature));
            assert_eq!(verifies, valid, "{}: {}", vector.tc_id, vector.comment);
            tried[usize::from(valid)] += 1;
        }
    }
    assert_eq!(tried.iter().sum::<usize>(), vectors.number_of_tests);
    assert!(tried[0] > 50 && tried[1] > 50, "{tried:?}");
}

fn signature_of_header(hex: &str) -> Option<[u8; 64]> {
    let mut map = http::HeaderMap::new();
    for (name, value) in
        [(REQUEST_ID_HEADER, "7-a"), (USER_ID_HEADER, "user"), (TIMESTAMP_HEADER, "1"), (SIGNATURE_HEADER, hex)]
    {
        map.insert(name, value.parse().unwrap());
    }
    Some(CallbackHeaders::from(&map).ok()?.signature)
}
