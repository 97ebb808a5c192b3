//! What a body is written in.

use crate::{Problem, ProblemKind};
use http::{
    HeaderMap, HeaderName,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

const LINES: [&str; 3] = ["application/x-ndjson", "application/ndjson", "application/jsonl"];

/// What a body is, and how the jobs of a batch are told from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// One JSON value; also where nothing is said.
    Json,
    /// A JSON object on each line.
    Lines,
}

/// Reads `Content-Type`, and refuses what nobody here can read, saying what the route `reads`. `Accept` is not asked: there is one kind of answer.
pub(crate) fn media(headers: &HeaderMap, reads: &str) -> Result<Media, Problem> {
    let coding = one(headers, &CONTENT_ENCODING)?.unwrap_or("identity");
    if !coding.trim().eq_ignore_ascii_case("identity") {
        return Err(unsupported("The body must not be compressed."));
    }
    let Some(text) = one(headers, &CONTENT_TYPE)? else { return Ok(Media::Json) };
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_utf8 = |part: &str| {
        let charset = part.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        charset.is_none_or(|(_, value)| value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"))
    };
    match kind.as_str() {
        _ if !parts.all(is_utf8) => Err(unsupported("The body must be UTF-8.")),
        "application/json" => Ok(Media::Json),
        kind if LINES.contains(&kind) => Ok(Media::Lines),
        _ => Err(unsupported(reads)),
    }
}

fn unsupported(detail: &str) -> Problem {
    Problem::from(ProblemKind::UnsupportedMediaType).detail(detail)
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::field(name.as_str(), "must not be there more than once"));
    }
    value.to_str().map(Some).map_err(|_| Problem::field(name.as_str(), "must consist of visible ASCII characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(HeaderName, &'static str)]) -> Result<Media, u16> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        media(&headers, "").map_err(|problem| problem.kind.status().as_u16())
    }

    #[test]
    fn a_batch_is_an_array_or_lines_in_plain_utf8_and_nothing_else() {
        for (text, media) in [
            ("application/json", Ok(Media::Json)),
            ("Application/JSON; charset=UTF-8", Ok(Media::Json)),
            ("application/x-ndjson", Ok(Media::Lines)),
            ("application/jsonl;charset=\"utf-8\"", Ok(Media::Lines)),
            ("application/json; charset=latin1", Err(415)),
            ("application/x-www-form-urlencoded", Err(415)),
            ("", Err(415)),
        ] {
            assert_eq!(read(&[(CONTENT_TYPE, text)]), media, "{text}");
        }
        assert_eq!(read(&[]), Ok(Media::Json));
        assert_eq!(read(&[(CONTENT_ENCODING, "gzip")]), Err(415));
        assert_eq!(read(&[(CONTENT_ENCODING, "identity")]), Ok(Media::Json));
    }

    #[test]
    fn a_batch_does_not_say_twice_what_it_is() {
        let mut headers = HeaderMap::new();
        headers.append(CONTENT_TYPE, "application/json".parse().unwrap());
        headers.append(CONTENT_TYPE, "application/x-ndjson".parse().unwrap());
        assert_eq!(media(&headers, "").unwrap_err().kind, ProblemKind::InvalidRequest);
    }
}
