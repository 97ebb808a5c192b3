//! Makes foreign text fit for a person's eyes and for a log line: short, on one line, without terminal tricks.

/// The longest message that leaves this crate, in bytes.
pub(crate) const MESSAGE_MAX: usize = 1024;

/// Escapes control and direction-changing characters and cuts the text to [`MESSAGE_MAX`] bytes.
pub(crate) fn clip(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MESSAGE_MAX));
    for character in text.trim().chars() {
        let before = out.len();
        if is_deceptive(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
        if out.len() > MESSAGE_MAX {
            out.truncate(before);
            cut_for_ellipsis(&mut out);
            break;
        }
    }
    out
}

/// Joins an error with its chain of causes, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        out.push_str(": ");
        out.push_str(&inner.to_string());
        cause = inner.source();
    }
    clip(&out)
}

fn cut_for_ellipsis(out: &mut String) {
    const ELLIPSIS: char = '…';
    while out.len() + ELLIPSIS.len_utf8() > MESSAGE_MAX {
        out.pop();
    }
    out.push(ELLIPSIS);
}

/// Control characters forge log lines and drive terminals; the Unicode direction marks make text read as another.
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_are_escaped() {
        assert_eq!(clip("a\r\nb\u{1b}[31m\u{202e}c\0"), "a\\r\\nb\\u{1b}[31m\\u{202e}c\\u{0}");
    }

    #[test]
    fn a_message_is_never_longer_than_its_cap() {
        for text in ["x".repeat(5000), "é".repeat(5000), "\u{1b}".repeat(5000)] {
            let clipped = clip(&text);
            assert!(clipped.len() <= MESSAGE_MAX, "{}", clipped.len());
            assert!(clipped.ends_with('…'));
        }
        let exact = "y".repeat(MESSAGE_MAX);
        assert_eq!(clip(&exact), exact);
    }
}
