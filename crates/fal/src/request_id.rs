//! The shape of fal's request ids. They are opaque to us; only their shape is held, since they travel in paths and SQL.

/// The longest request id that is taken, in characters.
pub const REQUEST_ID_MAX: usize = 128;

/// Whether `id` can be used as a request id: 1 to 128 characters of `[A-Za-z0-9_-]`.
pub fn is_usable_request_id(id: &str) -> bool {
    (1..=REQUEST_ID_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_words_are_usable() {
        assert!(is_usable_request_id("764cabcf-b745-4b3e-ae38-1200304cf45b"));
        assert!(is_usable_request_id(&"a".repeat(128)));
        for bad in ["", "..", "a/b", "a b", "a\n", "é", "a%2e", "a?b", "a.b"] {
            assert!(!is_usable_request_id(bad), "{bad:?}");
        }
        assert!(!is_usable_request_id(&"a".repeat(129)));
    }
}
