//! The four headers of a callback: exactly one of each, each in its one shape.

use http::HeaderMap;
use thiserror::Error;

use super::signature::signed_message;
use crate::request_id::is_usable_request_id;

pub const REQUEST_ID_HEADER: &str = "x-fal-webhook-request-id";
pub const USER_ID_HEADER: &str = "x-fal-webhook-user-id";
pub const TIMESTAMP_HEADER: &str = "x-fal-webhook-timestamp";
pub const SIGNATURE_HEADER: &str = "x-fal-webhook-signature";

/// The longest user id that is taken, in characters.
const USER_ID_MAX: usize = 256;

/// A callback's headers, well formed but not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackHeaders {
    pub request_id: String,
    pub user_id: String,
    /// Seconds since 1970 as fal stamped them; never negative.
    pub timestamp: i64,
    pub signature: [u8; 64],
    /// The stamp as it was written, since the signature covers its text.
    timestamp_text: String,
}

/// A callback whose headers are not those that fal sends. Holds the header's name and nothing of its value.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HeaderError {
    #[error("the header {0} is missing")]
    Missing(&'static str),
    #[error("the header {0} is there more than once")]
    Repeated(&'static str),
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
}

impl CallbackHeaders {
    /// Reads the headers of a callback.
    pub fn from(headers: &HeaderMap) -> Result<Self, HeaderError> {
        let request_id = one(headers, REQUEST_ID_HEADER)?;
        let user_id = one(headers, USER_ID_HEADER)?;
        let timestamp_text = one(headers, TIMESTAMP_HEADER)?;
        let signature = one(headers, SIGNATURE_HEADER)?;
        if !is_usable_request_id(request_id) {
            return Err(HeaderError::Malformed(REQUEST_ID_HEADER));
        }
        if !is_user_id(user_id) {
            return Err(HeaderError::Malformed(USER_ID_HEADER));
        }
        Ok(Self {
            request_id: request_id.to_owned(),
            user_id: user_id.to_owned(),
            timestamp: seconds(timestamp_text).ok_or(HeaderError::Malformed(TIMESTAMP_HEADER))?,
            signature: signature_bytes(signature).ok_or(HeaderError::Malformed(SIGNATURE_HEADER))?,
            timestamp_text: timestamp_text.to_owned(),
        })
    }

    /// The bytes that the signature must cover for this body.
    pub fn signed_message(&self, body: &[u8]) -> Vec<u8> {
        signed_message(&self.request_id, &self.user_id, &self.timestamp_text, body)
    }
}

fn one<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, HeaderError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(HeaderError::Missing(name))?;
    if values.next().is_some() {
        return Err(HeaderError::Repeated(name));
    }
    value.to_str().map_err(|_| HeaderError::Malformed(name))
}

fn is_user_id(text: &str) -> bool {
    (1..=USER_ID_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Digits alone, since `i64::from_str` would also take a sign, and none that a stored number would lose.
fn seconds(text: &str) -> Option<i64> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_decimal.then(|| text.parse().ok()).flatten()
}

/// Lower-case hex, as fal writes it.
fn signature_bytes(text: &str) -> Option<[u8; 64]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; 64];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(changes: &[(&'static str, Option<&str>)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert(REQUEST_ID_HEADER, HeaderValue::from_static("7-a"));
        map.insert(USER_ID_HEADER, HeaderValue::from_static("user_test"));
        map.insert(TIMESTAMP_HEADER, HeaderValue::from_static("1700000000"));
        map.insert(SIGNATURE_HEADER, HeaderValue::from_str(&"0a".repeat(64)).unwrap());
        for (name, value) in changes {
            map.remove(*name);
            if let Some(value) = value {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                map.insert(HeaderName::from_static(name), value);
            }
        }
        map
    }

    #[test]
    fn well_formed_headers_are_read() {
        let read = CallbackHeaders::from(&headers(&[])).unwrap();
        assert_eq!((read.request_id.as_str(), read.user_id.as_str()), ("7-a", "user_test"));
        assert_eq!((read.timestamp, read.signature), (1_700_000_000, [0x0a; 64]));
    }

    /// The table of F52.
    #[test]
    fn header_tricks_are_refused() {
        let hex = "0a".repeat(64);
        let (short, long) = (&hex[1..], format!("{hex}0"));
        let (spaced, prefixed, inner) =
            (format!("{hex} "), format!("0x{}", &hex[2..]), format!("{} {}", &hex[..63], &hex[..64]));
        let long_id = "a".repeat(129);
        for (name, value) in [
            (SIGNATURE_HEADER, ""),
            (SIGNATURE_HEADER, &"0A".repeat(64)),
            (SIGNATURE_HEADER, short),
            (SIGNATURE_HEADER, &long),
            (SIGNATURE_HEADER, &spaced),
            (SIGNATURE_HEADER, &prefixed),
            (SIGNATURE_HEADER, &inner),
            (SIGNATURE_HEADER, "é"),
            (TIMESTAMP_HEADER, ""),
            (TIMESTAMP_HEADER, "01700000000"),
            (TIMESTAMP_HEADER, "-1"),
            (TIMESTAMP_HEADER, "+1"),
            (TIMESTAMP_HEADER, " 1"),
            (TIMESTAMP_HEADER, "1.5"),
            (TIMESTAMP_HEADER, "1e9"),
            (TIMESTAMP_HEADER, "0x10"),
            (TIMESTAMP_HEADER, "9223372036854775808"),
            (TIMESTAMP_HEADER, "١٢٣"),
            (REQUEST_ID_HEADER, ""),
            (REQUEST_ID_HEADER, "a b"),
            (REQUEST_ID_HEADER, "../a"),
            (REQUEST_ID_HEADER, &long_id),
            (USER_ID_HEADER, ""),
            (USER_ID_HEADER, "a b"),
            (USER_ID_HEADER, "é"),
        ] {
            let outcome = CallbackHeaders::from(&headers(&[(name, Some(value))]));
            assert_eq!(outcome, Err(HeaderError::Malformed(name)), "{name}: {value:?}");
        }
    }

    #[test]
    fn each_header_must_be_there_exactly_once() {
        for name in [REQUEST_ID_HEADER, USER_ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER] {
            assert_eq!(CallbackHeaders::from(&headers(&[(name, None)])), Err(HeaderError::Missing(name)));
            let mut twice = headers(&[]);
            let again = twice[name].clone();
            twice.append(name, again);
            assert_eq!(CallbackHeaders::from(&twice), Err(HeaderError::Repeated(name)));
        }
    }
}
