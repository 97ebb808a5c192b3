//! Reads JSON fields whose type fal does not promise, so that one odd field never spoils a whole answer.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

use crate::text;

/// A string as it is; null and a missing field as `None`; anything else as its own JSON text, clipped.
pub(crate) fn string<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    Ok(raw.map(string_of))
}

/// The text of a JSON value: a string's content, any other value's JSON.
pub(crate) fn string_of(raw: &RawValue) -> String {
    serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| text::clip(raw.get()))
}

/// A decimal number written as a JSON number or string, read from its digits and never through a float.
pub(crate) fn decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    let digits = raw.get().trim_matches('"');
    Decimal::from_str(digits)
        .or_else(|_| Decimal::from_scientific(digits))
        .map_err(|_| D::Error::custom("not a decimal number that fits"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Row {
        #[serde(default, deserialize_with = "string")]
        text: Option<String>,
        #[serde(deserialize_with = "decimal")]
        number: Decimal,
    }

    #[test]
    fn numbers_keep_every_digit_they_were_written_with() {
        for (json, expected) in [
            (r#"{"number":0.0398}"#, "0.0398"),
            (r#"{"number":"0.10"}"#, "0.10"),
            (r#"{"number":4e-3}"#, "0.004"),
            (r#"{"number":3}"#, "3"),
        ] {
            let row: Row = serde_json::from_str(json).unwrap();
            assert_eq!(row.number.to_string(), expected);
        }
        assert!(serde_json::from_str::<Row>(r#"{"number":1e999}"#).is_err());
    }

    #[test]
    fn a_field_of_another_type_is_read_as_its_text() {
        let read = |json: &str| serde_json::from_str::<Row>(json).unwrap().text;
        assert_eq!(read(r#"{"number":1}"#), None);
        assert_eq!(read(r#"{"number":1,"text":null}"#), None);
        assert_eq!(read(r#"{"number":1,"text":"a\"b"}"#).as_deref(), Some("a\"b"));
        assert_eq!(read(r#"{"number":1,"text":{"a":1}}"#).as_deref(), Some(r#"{"a":1}"#));
    }
}
