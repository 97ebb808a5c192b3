//! Seeds: which models take one, and how it is put into an input without touching the rest.
//!
//! A minted seed makes an attempt findable in fal's history. The input's other bytes stay as the caller wrote them,
//! since numbers beyond 64 bits and key order would not survive another writer.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, MapAccess, Visitor},
};

use crate::endpoint_id::EndpointId;

/// Models whose published input has a `seed`.
const SEEDED: [&str; 8] = [
    "fal-ai/bria/background/replace",
    "fal-ai/flux-pro/kontext",
    "fal-ai/flux-pro/v1.1",
    "fal-ai/flux-pro/v1.1-ultra",
    "fal-ai/flux/dev",
    "fal-ai/flux/schnell",
    "fal-ai/iclight-v2",
    "fal-ai/nano-banana/edit",
];

/// The models that are known to take a seed, in order.
pub const fn models() -> &'static [&'static str] {
    &SEEDED
}

/// Whether a model is known to take a seed.
pub fn takes_seed(endpoint: &EndpointId) -> bool {
    SEEDED.contains(&endpoint.as_str())
}

/// Whether an input has a `seed` of its own, of whatever value. An input that is no JSON object has none.
pub fn has_seed(input: &[u8]) -> bool {
    read_keys(input).is_some_and(|keys| keys.has_seed)
}

/// Puts a seed first into a JSON object that has none. Any other input comes back as it is.
pub fn with_seed(input: &[u8], seed: u64) -> Bytes {
    let opening = input.iter().position(|byte| *byte == b'{');
    let (Some(opening), Some(keys)) = (opening, read_keys(input)) else {
        return Bytes::copy_from_slice(input);
    };
    if keys.has_seed {
        return Bytes::copy_from_slice(input);
    }
    let (before, after) = input.split_at(opening + 1);
    let member = format!("\"seed\":{seed}{}", if keys.is_empty { "" } else { "," });
    let mut output = BytesMut::with_capacity(input.len() + member.len());
    output.put_slice(before);
    output.put_slice(member.as_bytes());
    output.put_slice(after);
    output.freeze()
}

struct Keys {
    is_empty: bool,
    has_seed: bool,
}

/// What an object's own keys say; `None` for anything that is no JSON object.
fn read_keys(input: &[u8]) -> Option<Keys> {
    let mut json = serde_json::Deserializer::from_slice(input);
    let keys = json.deserialize_map(KeysVisitor).ok()?;
    json.end().ok()?;
    Some(keys)
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Keys { is_empty: true, has_seed: false };
        while let Some((IsSeed(is_seed), IgnoredAny)) = map.next_entry::<IsSeed, IgnoredAny>()? {
            keys.is_empty = false;
            keys.has_seed |= is_seed;
        }
        Ok(keys)
    }
}

/// Whether a key is `seed`. Read as bytes, so that a key which no text can hold (half of a surrogate pair) hides no other.
struct IsSeed(bool);

impl<'de> Deserialize<'de> for IsSeed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(IsSeedVisitor)
    }
}

struct IsSeedVisitor;

impl Visitor<'_> for IsSeedVisitor {
    type Value = IsSeed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<IsSeed, E> {
        Ok(IsSeed(key == b"seed"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_models_of_the_list_take_a_seed_and_others_do_not() {
        for name in SEEDED {
            assert!(takes_seed(&EndpointId::parse(name).unwrap()));
        }
        for name in ["fal-ai/birefnet/v2", "fal-ai/bria/product-shot", "fal-ai/imageutils/rembg", "fal-ai/flux"] {
            assert!(!takes_seed(&EndpointId::parse(name).unwrap()), "{name}");
        }
    }

    #[test]
    fn a_seed_goes_in_first_and_nothing_else_moves() {
        for (input, output) in [
            ("{}", "{\"seed\":7}"),
            (" { } ", " {\"seed\":7 } "),
            ("\n{ \"b\": 1e999, \"a\":[1.10] }", "\n{\"seed\":7, \"b\": 1e999, \"a\":[1.10] }"),
            (r#"{"x":{"seed":1}}"#, r#"{"seed":7,"x":{"seed":1}}"#),
            (r#"{"seeds":1}"#, r#"{"seed":7,"seeds":1}"#),
        ] {
            assert_eq!(with_seed(input.as_bytes(), 7), output.as_bytes());
        }
    }

    #[test]
    fn an_input_with_a_seed_or_of_another_kind_stays_as_it_is() {
        for input in [
            r#"{"seed":1}"#,
            r#"{"a":1,"seed":null}"#,
            r#"{"\u0073eed":2}"#,
            r#"{"\ud800":1,"seed":2}"#,
            "[{}]",
            "null",
            "",
            "{",
            "{} {}",
            "\"{}\"",
        ] {
            assert_eq!(with_seed(input.as_bytes(), 7), input.as_bytes(), "{input}");
        }
        assert!(has_seed(br#"{"a":{},"seed":null}"#));
        assert!(!has_seed(br#"{"a":{"seed":1}}"#) && !has_seed(b"[]") && !has_seed(b"{"));
    }

    proptest! {
        #[test]
        fn every_u64_is_written_in_full(seed: u64) {
            let output = with_seed(br#"{"prompt":"x"}"#, seed);
            prop_assert_eq!(&output, &Bytes::from(format!(r#"{{"seed":{seed},"prompt":"x"}}"#)));
            prop_assert!(has_seed(&output));
        }
    }
}
