//! The response headers that matter, and the sorting of an error answer by them.

use std::time::Duration;

use chrono::DateTime;
use domain::ErrorClass;
use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

use super::{Answer, RETRY_AFTER_MAX};
use crate::taxonomy::{self, Classified};

/// Whether fal itself answered, and not an ingress in front of it.
pub(super) fn is_from_fal(headers: &HeaderMap) -> bool {
    headers.contains_key("x-fal-request-id")
}

/// fal's billable units of the run, as it wrote them.
pub(super) fn billable_units(headers: &HeaderMap) -> Option<String> {
    text(headers, "x-fal-billable-units").map(|units| units.trim().to_owned())
}

/// How long fal asks to wait: seconds, or a date that is measured against the answer's own `Date`, so that our clock
/// does not matter. A date without a `Date` is not used.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let asked = text(headers, RETRY_AFTER.as_str())?.trim();
    let wait = if let Ok(seconds) = asked.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let until = DateTime::parse_from_rfc2822(asked).ok()?;
        let from = DateTime::parse_from_rfc2822(text(headers, DATE.as_str())?).ok()?;
        (until - from).to_std().unwrap_or(Duration::ZERO)
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// Sorts an error answer by its status, its headers and its body.
pub(super) fn classify(answer: &Answer) -> Classified {
    let (status, headers) = (answer.status.as_u16(), &answer.headers);
    let error_type = text(headers, "x-fal-error-type");
    let mut sorted = taxonomy::classify_model_error(Some(status), error_type, None, &answer.body);
    let deadline_was_ours = text(headers, "x-fal-request-timeout-type") == Some("user");
    if status == 504 && deadline_was_ours {
        sorted.class = ErrorClass::TimeoutStart;
    }
    sorted.with_needs_retry(status, needs_retry(headers)).with_billable_units(billable_units(headers).as_deref())
}

/// fal's word on a retry: the current header's name, then the older one.
fn needs_retry(headers: &HeaderMap) -> Option<bool> {
    let flag = text(headers, "x-fal-needs-retry").or_else(|| text(headers, "x-fal-retryable"))?;
    match flag.trim() {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderName, HeaderValue, StatusCode};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_against_the_answers_own_date() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let seconds = |pairs: &[_]| retry_after(&headers(pairs)).map(|wait| wait.as_secs());
        assert_eq!(seconds(&[("retry-after", "7")]), Some(7));
        assert_eq!(seconds(&[("retry-after", "99999999999")]), Some(86_400));
        assert_eq!(seconds(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), date]), Some(30));
        assert_eq!(seconds(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), date]), Some(0));
        assert_eq!(seconds(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]), None);
        assert_eq!(seconds(&[("retry-after", "-1"), date]), None);
        assert_eq!(seconds(&[]), None);
    }

    #[test]
    fn a_timeout_that_we_set_is_a_start_timeout() {
        let answer =
            |pairs: &[_]| Answer { status: StatusCode::GATEWAY_TIMEOUT, headers: headers(pairs), body: Bytes::new() };
        assert_eq!(classify(&answer(&[])).class, ErrorClass::TimeoutRun);
        let ours = [("x-fal-request-timeout-type", "user"), ("x-fal-needs-retry", "0")];
        let sorted = classify(&answer(&ours));
        assert_eq!((sorted.class, sorted.retryable), (ErrorClass::TimeoutStart, false));
        let older = classify(&answer(&[("x-fal-retryable", "0")]));
        assert!(!older.retryable);
    }
}
