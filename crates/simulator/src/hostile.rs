//! Payloads that are legal on the wire and break what stands behind it: parsers, JSON columns, patience.

use std::fmt::Write as _;

/// How many kinds there are; they take turns.
pub(crate) const KINDS: u64 = 8;

/// What to put into a payload object before its closing brace, and the kind's name.
///
/// Most come from what Postgres does with them: it refuses a NUL, a lone surrogate, deep nesting and numbers beyond its
/// range; it takes a list of huge numbers and cannot give it back.
pub(crate) fn member(kind: u64) -> (&'static str, Vec<u8>) {
    match kind % KINDS {
        0 => ("nul", br#""note": "a\u0000b""#.to_vec()),
        1 => ("lone_surrogate", br#""note": "\ud800""#.to_vec()),
        2 => ("deep", [br#""note": "#.as_slice(), &vec![b'['; 20_000], &vec![b']'; 20_000]].concat()),
        3 => ("huge_exponent", br#""note": 1e1000000"#.to_vec()),
        4 => ("number_bomb", number_bomb()),
        5 => ("not_utf8", b"\"note\": \"\xff\xfe\"".to_vec()),
        6 => ("duplicate_keys", br#""seed": 1, "seed": 2, "seed": 3"#.to_vec()),
        _ => ("beyond_u64", br#""note": 36893488147419103232"#.to_vec()),
    }
}

/// Adds a member to a JSON object.
pub(crate) fn with_member(object: &[u8], member: &[u8]) -> Vec<u8> {
    let inner = object.strip_suffix(b"}").unwrap_or(object);
    let comma: &[u8] = if inner == b"{" { b"" } else { b", " };
    [inner, comma, member, b"}"].concat()
}

/// A thousand numbers of 131,072 digits each, written in nine kilobytes.
fn number_bomb() -> Vec<u8> {
    let mut text = String::from(r#""note": [0"#);
    for _ in 0..1_000 {
        write!(text, ", 1e131071").expect("a String takes all that is written");
    }
    text.push(']');
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{KINDS, member, with_member};

    #[test]
    fn members_are_added_to_empty_and_full_objects() {
        assert_eq!(with_member(b"{}", b"\"a\": 1"), b"{\"a\": 1}");
        assert_eq!(with_member(b"{\"b\": 2}", b"\"a\": 1"), b"{\"b\": 2, \"a\": 1}");
    }

    #[test]
    fn every_kind_but_the_broken_bytes_is_text() {
        for kind in 0..KINDS {
            let (name, bytes) = member(kind);
            assert_eq!(std::str::from_utf8(&bytes).is_err(), name == "not_utf8", "{name}");
        }
    }
}
