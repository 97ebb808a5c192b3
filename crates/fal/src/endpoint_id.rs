//! The name of a model at fal, and the rule that keeps it from being anything else than a path.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest endpoint id that is taken, in bytes.
pub const ENDPOINT_ID_MAX: usize = 256;

/// Segments of an id: an owner, an alias, and up to four more.
const SEGMENTS: std::ops::RangeInclusive<usize> = 2..=6;

/// Names that stand before the owner and are part of the app.
const NAMESPACES: [&str; 2] = ["workflows", "comfy"];

/// A model's name, such as `fal-ai/flux/dev`: two to six segments, each `[a-z0-9][a-z0-9._-]*` without `..`.
///
/// A value of this type can be put into a URL without reaching another host or another path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EndpointId(Box<str>);

/// The text is not an endpoint id. The message says the rule, for the person who sent it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "must be 2 to 6 segments joined by `/`, each of a-z, 0-9, `.`, `_`, `-` and beginning with a letter or digit, \
     without `..`, and at most 256 bytes in all"
)]
pub struct EndpointIdError;

impl EndpointId {
    /// Reads an endpoint id.
    pub fn parse(text: &str) -> Result<Self, EndpointIdError> {
        let fits = text.len() <= ENDPOINT_ID_MAX && SEGMENTS.contains(&text.split('/').count());
        if fits && text.split('/').all(is_segment) { Ok(Self(text.into())) } else { Err(EndpointIdError) }
    }

    /// The whole id, which submits are sent to.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part of the id under which fal keeps requests: `owner/alias`, with its namespace when it has one.
    pub fn app(&self) -> &str {
        let namespaced = NAMESPACES.contains(&self.segments().next().unwrap_or_default());
        let kept = if namespaced { 3 } else { 2 };
        match self.0.match_indices('/').nth(kept - 1) {
            Some((end, _)) => &self.0[..end],
            None => &self.0,
        }
    }

    /// The segments of the whole id.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl FromStr for EndpointId {
    type Err = EndpointIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for EndpointId {
    type Error = EndpointIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<EndpointId> for String {
    fn from(id: EndpointId) -> Self {
        id.0.into()
    }
}

impl AsRef<str> for EndpointId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_segment(segment: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    segment.bytes().next().is_some_and(is_word)
        && segment.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'_' | b'-'))
        && !segment.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_fal_uses_are_taken() {
        for name in [
            "fal-ai/flux/dev",
            "fal-ai/flux-pro/v1.1-ultra",
            "fal-ai/bria/background/remove",
            "workflows/acme/shop/v2",
            "comfy/acme/flow",
            "123/alias",
            "a/b/c/d/e/f",
        ] {
            assert_eq!(EndpointId::parse(name).unwrap().to_string(), name);
        }
    }

    /// The path injection corpus of F110.
    #[test]
    fn a_name_that_could_leave_its_path_is_refused() {
        for name in [
            "",
            "/",
            "fal-ai",
            "fal-ai/",
            "/fal-ai/flux",
            "fal-ai//flux",
            "a/b/c/d/e/f/g",
            "../fal-ai/flux",
            "fal-ai/../flux",
            "fal-ai/..",
            "fal-ai/.",
            "./fal-ai/flux",
            "fal-ai/a..b",
            "fal-ai/...",
            "fal-ai/.hidden",
            "fal-ai/-x",
            "fal-ai/_x",
            "fal-ai/flux?logs=1",
            "fal-ai/flux#x",
            "fal-ai/flux&a",
            "fal-ai/flux;a",
            "fal-ai/flux=a",
            "fal-ai/%2e%2e/flux",
            "fal-ai/%2e%2e",
            "fal-ai/flux%2f..",
            "fal-ai/flux%00",
            "//evil.example/flux",
            "https://evil.example/flux",
            "http:evil/flux",
            "evil.example:443/flux",
            "user@evil.example/flux",
            "fal-ai\\flux",
            "fal-ai/flux\\..\\x",
            "Fal-Ai/flux",
            "fal-ai/FLUX",
            "fal-ai/fl ux",
            " fal-ai/flux",
            "fal-ai/flux ",
            "fal-ai/flux\n",
            "fal-ai/flux\r\nhost: evil",
            "fal-ai/flux\0",
            "fal-ai/flüx",
            "fal-ai/fl\u{202e}ux",
            "fal-ai/flux/~",
            "fal-ai/*",
            "fal-ai/$x",
            "fal-ai/a+b",
            "fal-ai/a:b",
            "fal-ai/a@b",
            "fal-ai/a,b",
        ] {
            assert_eq!(EndpointId::parse(name), Err(EndpointIdError), "{name:?}");
        }
        assert!(EndpointId::parse(&format!("a/{}", "b".repeat(ENDPOINT_ID_MAX))).is_err());
    }

    #[test]
    fn requests_are_kept_under_the_app_alone() {
        for (name, app) in [
            ("fal-ai/flux", "fal-ai/flux"),
            ("fal-ai/flux/dev", "fal-ai/flux"),
            ("fal-ai/bria/background/remove", "fal-ai/bria"),
            ("workflows/acme/shop", "workflows/acme/shop"),
            ("workflows/acme/shop/v2/x", "workflows/acme/shop"),
            ("comfy/acme/flow/x", "comfy/acme/flow"),
            ("workflows/acme", "workflows/acme"),
        ] {
            assert_eq!(EndpointId::parse(name).unwrap().app(), app);
        }
    }

    #[test]
    fn json_cannot_bring_in_a_bad_name() {
        assert!(serde_json::from_str::<EndpointId>(r#""fal-ai/flux""#).is_ok());
        assert!(serde_json::from_str::<EndpointId>(r#""../x""#).is_err());
    }
}
