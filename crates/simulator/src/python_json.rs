//! JSON as Python's `json.dumps` writes it, which is how fal's webhooks look on the wire.

use std::fmt::Write as _;

/// Rewrites compact JSON with a space after `:` and `,`, and with every character beyond ASCII escaped.
pub(crate) fn respaced(compact: &str) -> String {
    let mut spaced = String::with_capacity(compact.len() + compact.len() / 8);
    let (mut in_string, mut escaped) = (false, false);
    for character in compact.chars() {
        if character.is_ascii() {
            spaced.push(character);
        } else {
            push_escaped(&mut spaced, character);
        }
        if !in_string && matches!(character, ',' | ':') {
            spaced.push(' ');
        }
        if character == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && character == '\\' && !escaped;
    }
    spaced
}

/// Writes one character as `\uXXXX`, as a surrogate pair beyond the basic plane.
fn push_escaped(text: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        write!(text, "\\u{unit:04x}").expect("a String takes all that is written");
    }
}

#[cfg(test)]
mod tests {
    use super::respaced;

    #[test]
    fn separators_get_a_space_outside_of_strings_only() {
        assert_eq!(respaced(r#"{"a":[1,2],"b":"x,y:z\\\"," }"#), r#"{"a": [1, 2], "b": "x,y:z\\\"," }"#);
    }

    #[test]
    fn characters_beyond_ascii_are_escaped_and_mean_the_same() {
        let compact = r#"{"prompt":"é 🦅"}"#;
        let spaced = respaced(compact);
        assert_eq!(spaced, r#"{"prompt": "\u00e9 \ud83e\udd85"}"#);
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parse(&spaced), parse(compact));
    }
}
