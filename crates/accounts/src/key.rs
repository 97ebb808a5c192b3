//! What a fal key looks like.

use secrecy::{ExposeSecret, SecretString};

/// fal's own keys are about 70 characters long.
const KEY_CHARS_MAX: usize = 512;
/// Below this the hint would give away too much of it. fal's own secrets have 32.
const SECRET_CHARS_MIN: usize = 16;
const HINT_CHARS: usize = 4;

/// A fal key whose shape was checked. Neither printed nor logged, and wiped when it is dropped.
#[derive(Clone, Debug)]
pub struct FalKey(SecretString);

/// The rule that a text breaks which is to be a fal key. Says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("must look like `id:secret`, as fal shows it, with a secret of at least {SECRET_CHARS_MIN} characters")]
    Shape,
    #[error("must consist of visible ASCII characters, without spaces")]
    Characters,
    #[error("must not be longer than {KEY_CHARS_MAX} characters")]
    TooLong,
}

impl FalKey {
    /// Checks the shape of a key. Whether fal knows it is seen when it is used.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(key: SecretString) -> Result<Self, KeyError> {
        let text = key.expose_secret();
        if text.len() > KEY_CHARS_MAX {
            return Err(KeyError::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyError::Characters);
        }
        match text.split_once(':') {
            Some((id, secret)) if !id.is_empty() && secret.len() >= SECRET_CHARS_MIN => Ok(Self(key)),
            _ => Err(KeyError::Shape),
        }
    }

    /// The last characters, by which people tell keys apart.
    pub fn hint(&self) -> String {
        let text = self.0.expose_secret();
        text[text.len() - HINT_CHARS..].to_owned()
    }

    pub(crate) const fn secret(&self) -> &SecretString {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FalKey, KeyError> {
        FalKey::parse(text.into())
    }

    #[test]
    fn a_key_is_an_id_and_a_secret_that_fit_in_a_header() {
        assert_eq!(parse("id:0123456789abcdef").unwrap().hint(), "cdef");
        for (text, rule) in [
            ("", KeyError::Shape),
            ("0123456789abcdef0123456789abcdef", KeyError::Shape),
            (":0123456789abcdef", KeyError::Shape),
            ("id:", KeyError::Shape),
            ("id:0123456789abcde", KeyError::Shape),
            ("id:0123456789abcdef\r\nX-Evil: 1", KeyError::Characters),
            ("id:0123456789 abcdef", KeyError::Characters),
            ("id:0123456789abcdefé", KeyError::Characters),
            ("id:0123456789abcdef\u{0}", KeyError::Characters),
        ] {
            assert_eq!(parse(text).unwrap_err(), rule, "{text:?}");
        }
        assert_eq!(parse(&format!("id:{}", "x".repeat(510))).unwrap_err(), KeyError::TooLong);
    }

    #[test]
    fn the_debug_text_of_a_key_tells_nothing() {
        assert!(!format!("{:?}", parse("id:0123456789abcdef")).contains("0123"));
    }
}
