//! Every edge case of the two points of a signature: the classes of C2SP's CCTV set for Ed25519, which no package carries,
//! built here from their description, <https://github.com/C2SP/CCTV/tree/main/ed25519>.
//!
//! `A` and `R` each are a multiple of the base point, none or some, plus one of the eight points of small order, in every
//! encoding that decodes to it. Each pair signs messages until the parts of small order have cancelled out once and once
//! not. So made, all of them satisfy the equation multiplied by the cofactor, as the most lenient verifiers ask.

use super::*;
use curve25519_dalek::{
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
    edwards::{CompressedEdwardsY, EdwardsPoint},
    scalar::Scalar,
    traits::{Identity, IsIdentity},
};
use sha2::{Digest, Sha512};

/// The encodings of points of small order that are not the ones RFC 8032 prescribes.
const ODD_ENCODINGS: [&str; 6] = [
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// Messages that are tried for a pair; with one of order 8, one in eight cancels out.
const MESSAGES: u32 = 64;

/// One of the two points of a signature.
struct Half {
    bytes: [u8; 32],
    /// The multiple of the base point in it.
    multiple: Scalar,
    /// The point of small order in it.
    small: EdwardsPoint,
}

impl Half {
    fn is_small(&self) -> bool {
        self.multiple == Scalar::ZERO
    }
}

struct Signed {
    message: Vec<u8>,
    signature: [u8; 64],
    /// The points of small order do not cancel out, so only an equation multiplied by the cofactor holds.
    residue: bool,
}

/// S02.
#[test]
fn strict_verification_takes_no_small_point_no_odd_encoding_and_no_residue() {
    let (keys, nonces) = (halves(3), halves(5));
    let (mut verified, mut refused, mut lax) = (0, 0, 0);
    for key in &keys {
        let admitted = VerifyingKeys::from_jwks(set_of(&[URL_SAFE_NO_PAD.encode(key.bytes)]).as_bytes());
        assert_eq!(admitted.is_err(), key.is_small(), "{}", hex::encode(key.bytes));
        // A key that the set refuses is tried all the same: the verification stands on its own.
        let own = VerifyingKeys(vec![VerifyingKey::from_bytes(&key.bytes).unwrap()]);
        for nonce in &nonces {
            for signed in sign(key, nonce) {
                let expected = !key.is_small() && !nonce.is_small() && !signed.residue;
                let what = (hex::encode(key.bytes), hex::encode(signed.signature), &signed.message);
                assert_eq!(own.signed(&signed.message, &signed.signature), expected, "{what:?}");
                let loose = own.0[0].verify(&signed.message, &Signature::from_bytes(&signed.signature));
                lax += usize::from(loose.is_ok() && !expected);
                *(if expected { &mut verified } else { &mut refused }) += 1;
            }
        }
    }
    assert_eq!((keys.len(), nonces.len()), (22, 22));
    assert!(verified > 40 && refused > 700, "{verified} verified, {refused} refused");
    assert!(lax > 100, "the usual verification would have taken {lax}");
}

/// RFC 8032, 5.1.3. Of the encodings beyond the prime, those of points of large order too; their secrets are not known, so
/// they can sign nothing.
#[test]
fn a_key_whose_coordinate_is_beyond_the_prime_is_refused() {
    let mut decoded = 0;
    for low in 0xed..=0xff_u8 {
        for high in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            decoded += usize::from(VerifyingKey::from_bytes(&bytes).is_ok());
            let set = set_of(&[URL_SAFE_NO_PAD.encode(bytes)]);
            assert_eq!(VerifyingKeys::from_jwks(set.as_bytes()), Err(JwksError::NoUsableKey), "{low:x} {high:x}");
        }
    }
    assert!(decoded > 4, "the library decodes {decoded} of them");
}

/// Eight points of small order in fourteen encodings, and the same eight with a multiple of the base point.
fn halves(multiple: u64) -> Vec<Half> {
    let multiple = Scalar::from(multiple);
    let mut halves = Vec::new();
    for small in EIGHT_TORSION {
        halves.push(Half { bytes: small.compress().to_bytes(), multiple: Scalar::ZERO, small });
        let mixed = ED25519_BASEPOINT_POINT * multiple + small;
        halves.push(Half { bytes: mixed.compress().to_bytes(), multiple, small });
    }
    for odd in ODD_ENCODINGS {
        let bytes: [u8; 32] = hex::decode(odd).unwrap().try_into().unwrap();
        let small = CompressedEdwardsY(bytes).decompress().unwrap();
        assert!(small.is_small_order() && small.compress().to_bytes() != bytes);
        halves.push(Half { bytes, multiple: Scalar::ZERO, small });
    }
    halves
}

/// Signatures of this pair: one whose points of small order cancel out and one where they do not, where such there are.
fn sign(key: &Half, nonce: &Half) -> Vec<Signed> {
    let mut found: [Option<Signed>; 2] = [None, None];
    for number in 0..MESSAGES {
        let message = format!("message {number}").into_bytes();
        let digest = Sha512::new().chain_update(nonce.bytes).chain_update(key.bytes).chain_update(&message).finalize();
        let k = Scalar::from_bytes_mod_order_wide(&digest.into());
        let s = nonce.multiple + k * key.multiple;
        let residue = !(nonce.small + small_multiple(key.small, &k)).is_identity();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&nonce.bytes);
        signature[32..].copy_from_slice(s.as_bytes());
        found[usize::from(residue)].get_or_insert(Signed { message, signature, residue });
    }
    found.into_iter().flatten().collect()
}

/// The multiple of a point of small order, of which only the last three bits of the factor count.
fn small_multiple(point: EdwardsPoint, factor: &Scalar) -> EdwardsPoint {
    (0..factor.as_bytes()[0] % 8).fold(EdwardsPoint::identity(), |sum, _| sum + point)
}
