//! The secret of a key: `flc_`, 256 random bits, and a checksum that tells a mistyped key from a wrong one.

use sha2::{Digest, Sha256};
use std::fmt;

const MARK: &str = "flc_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Digits to base 62 that 256 bits need.
const BODY_LENGTH: usize = 43;
/// Digits to base 62 that 32 bits need.
const CHECKSUM_LENGTH: usize = 6;
/// Characters of the body that a person may see.
const SHOWN: usize = 6;

/// A key's secret. It has no `Display`, and `Debug` does not tell it: whoever shows it does so by name.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySecret(String);

/// The text is no key: cut off, mistyped, or something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is not an API key")]
pub struct MalformedSecret;

impl KeySecret {
    /// Makes the secret of 256 bits that the caller has drawn.
    pub fn of_random(bits: &[u8; 32]) -> Self {
        let body = base62(bits, BODY_LENGTH);
        let checksum = checksum(&body);
        Self(format!("{MARK}{body}{checksum}"))
    }

    /// Reads a key that a caller sent.
    pub fn parse(text: &str) -> Result<Self, MalformedSecret> {
        let rest = text.strip_prefix(MARK).ok_or(MalformedSecret)?;
        let fits = rest.len() == BODY_LENGTH + CHECKSUM_LENGTH && rest.bytes().all(|byte| ALPHABET.contains(&byte));
        if !fits || checksum(&rest[..BODY_LENGTH]) != rest[BODY_LENGTH..] {
            return Err(MalformedSecret);
        }
        Ok(Self(text.to_owned()))
    }

    /// The secret itself, for the one time that it is shown.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// What a person may see of it to tell it from others.
    pub fn prefix(&self) -> &str {
        &self.0[..MARK.len() + SHOWN]
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySecret({}…)", self.prefix())
    }
}

fn checksum(body: &str) -> String {
    base62(&Sha256::digest(body.as_bytes())[..4], CHECKSUM_LENGTH)
}

/// Writes a number, most significant byte first, in `length` digits to base 62.
fn base62(number: &[u8], length: usize) -> String {
    let mut number = number.to_vec();
    let mut digits = vec![ALPHABET[0]; length];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = (rest << 8) | u32::from(*byte);
            *byte = u8::try_from(value / 62).expect("the rest is below 62, so the quotient is below 256");
            rest = value % 62;
        }
        *digit = ALPHABET[rest as usize];
    }
    String::from_utf8(digits).expect("the alphabet is ASCII")
}
