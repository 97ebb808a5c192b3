//! Bytes made from seeds, as a fuzzer makes them, in a way that proptest can shrink.

use proptest::prelude::*;
use std::fmt;

/// What parsers trip over.
const TOKENS: [&[u8]; 34] = [
    b"\0",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\xc3\xa9",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
    b"\n",
    b"\r\n",
    b" ",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"]",
    b":",
    b",",
    b"null",
    b"1e1000000",
    b"-0",
    b"99999999999999999999",
    b"\"status\":\"OK\"",
    b"\"x\":\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
    b"=",
    b"/",
    b"//",
    b"..",
    b"%2e%2e",
    b"%00",
    b"?",
    b"#",
    b"@",
    b"0",
];

const CHANGES_MAX: usize = 6;

/// Bytes that print as text.
#[derive(Clone)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// One of the seeds, or nothing, with a few changes. A change is a number, which is cheap to make and shrinks to none.
pub(crate) fn from_seeds(mut seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Bytes> {
    seeds.push(Vec::new());
    (any::<u16>(), prop::collection::vec(any::<u64>(), 0..=CHANGES_MAX)).prop_map(move |(seed, changes)| {
        let mut bytes = seeds[usize::from(seed) % seeds.len()].clone();
        for change in changes {
            apply(change, &mut bytes, &seeds);
        }
        Bytes(bytes)
    })
}

fn apply(change: u64, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let [kind, byte, count, times, place @ ..] = change.to_le_bytes();
    let number = usize::try_from(u32::from_le_bytes(place)).expect("32 bits");
    // One place more than there are bytes: what is put in may stand at the end.
    let place = number % (bytes.len() + 1);
    let end = bytes.len().min(place + 1 + usize::from(count % 64));
    match kind % 8 {
        0 => bytes.get_mut(place).into_iter().for_each(|own| *own ^= 1 << (byte % 8)),
        1 => bytes.get_mut(place).into_iter().for_each(|own| *own = byte),
        2 => drop(bytes.splice(place..place, [byte, count, times])),
        3 | 4 => drop(bytes.splice(place..place, TOKENS[usize::from(byte) % TOKENS.len()].iter().copied())),
        5 => drop(bytes.drain(place..end)),
        6 => {
            let piece = bytes[place..end].repeat(usize::from(times % 8) + 1);
            drop(bytes.splice(place..place, piece));
        }
        _ => {
            let other = &seeds[usize::from(byte) % seeds.len()];
            bytes.truncate(place);
            bytes.extend_from_slice(&other[place.min(other.len())..]);
        }
    }
}
