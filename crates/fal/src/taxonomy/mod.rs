//! Sorts what fal or a model says went wrong into our closed set of classes.
//!
//! The same rules serve a submit that was refused, an error result, an ERROR callback and a COMPLETED status with an
//! error. What to do about a class is decided elsewhere.

mod body;
mod table;

use domain::ErrorClass;

use crate::text;
use body::ErrorBody;
use table::Row;

/// Whether fal bills the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Never billed: the request was refused, or failed with a status of 500 or more.
    No,
    /// Billed when the model spent GPU time before it failed.
    Maybe,
    /// Billed: fal gave billable units.
    Yes,
}

/// An error, sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    pub class: ErrorClass,
    /// Whether the same input may succeed at another time.
    pub retryable: bool,
    pub charged: Charge,
    /// What fal said, for people: at most 1 kB, control characters escaped.
    pub message: String,
    /// fal's own name of the error, when it gave one.
    pub error_type: Option<String>,
}

impl Classified {
    /// Lets fal's `X-Fal-Needs-Retry` overrule the table, which it may for a status of 500 or more and for 429.
    #[must_use]
    pub fn with_needs_retry(mut self, status: u16, needs_retry: Option<bool>) -> Self {
        if let (true, Some(needs_retry)) = (status >= 500 || status == 429, needs_retry) {
            self.retryable = needs_retry;
        }
        self
    }

    /// Settles the question of the charge by fal's `x-fal-billable-units`, where it gave them.
    #[must_use]
    pub fn with_billable_units(mut self, units: Option<&str>) -> Self {
        let units = units.and_then(|units| units.trim().parse::<rust_decimal::Decimal>().ok());
        match (self.charged, units) {
            (Charge::Maybe, Some(units)) if units.is_zero() => self.charged = Charge::No,
            (Charge::Maybe, Some(_)) => self.charged = Charge::Yes,
            _ => {}
        }
        self
    }
}

/// Sorts an error by fal's error type, and by the HTTP status when the type is missing or unknown.
///
/// `status` is that of the model's answer; without it, it is read from `error_text` as callbacks word it (`Invalid
/// status code: 422`). `error_type` is the one of a header or a status answer; a type in the body goes before it.
pub fn classify_model_error(
    status: Option<u16>,
    error_type: Option<&str>,
    error_text: Option<&str>,
    body: &[u8],
) -> Classified {
    let body = ErrorBody::parse(body);
    let status = status.or_else(|| error_text.and_then(status_in_text));
    let named = body.known_type().or_else(|| error_type.and_then(table::find));
    let (class, retryable) = match (named, status) {
        (Some(row), _) => (row.class, row.retryable),
        (None, Some(status)) => by_status(status),
        // Neither a type nor a status that we know: a retry is bounded by the job's attempts.
        (None, None) => (ErrorClass::ModelError, true),
    };
    let error_type = named.map(|row| row.name).or_else(|| body.first_type()).or(error_type).map(text::clip);
    Classified {
        class,
        retryable,
        charged: charge(status.or(named.map(|row| row.status)), named),
        message: message(&body, error_text, error_type.as_deref(), status),
        error_type,
    }
}

/// The class of a status on its own.
fn by_status(status: u16) -> (ErrorClass, bool) {
    match status {
        401..=403 => (ErrorClass::Credential, true),
        404 => (ErrorClass::UnknownModel, false),
        408 | 409 | 425 => (ErrorClass::Infrastructure, true),
        429 => (ErrorClass::RateLimited, true),
        499 => (ErrorClass::Canceled, false),
        400..=498 => (ErrorClass::Validation, false),
        500 | 501 => (ErrorClass::ModelError, true),
        504 => (ErrorClass::TimeoutRun, true),
        502.. => (ErrorClass::Infrastructure, true),
        _ => (ErrorClass::ModelError, true),
    }
}

fn charge(status: Option<u16>, named: Option<&Row>) -> Charge {
    match status {
        Some(500..) => Charge::No,
        Some(422 | 499) => Charge::Maybe,
        Some(400..) if named.is_none_or(|row| !row.by_model) => Charge::No,
        _ => Charge::Maybe,
    }
}

fn message(body: &ErrorBody, text: Option<&str>, error_type: Option<&str>, status: Option<u16>) -> String {
    let own = body.message();
    let from_text = || text.filter(|text| !text.trim().is_empty()).map(str::to_owned);
    let from_type = || error_type.map(str::to_owned);
    let from_status = || status.map(|status| format!("HTTP status {status}"));
    let message = own.or_else(from_text).or_else(from_type).or_else(from_status);
    text::clip(&message.unwrap_or_else(|| "fal gave no reason".to_owned()))
}

/// Reads the status out of `Invalid status code: 422`, the text that callbacks carry.
fn status_in_text(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code:")?;
    let digits = rest.trim_start();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().filter(|status| (100..=599).contains(status))
}

#[cfg(test)]
mod tests;
