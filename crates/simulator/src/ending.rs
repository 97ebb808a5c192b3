//! The ways in which a request ends, as result and webhook will show them.

use bytes::Bytes;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::dice::Dice;
use crate::output::{self, Input, Making};
use crate::python_json::respaced;
use crate::request::{Finished, OutcomeKind, Request};
use crate::script::Outcome;

/// Model errors that the dice choose from.
const MODEL_ERRORS: [&str; 5] = [
    "content_policy_violation",
    "no_media_generated",
    "image_load_error",
    "file_download_error",
    "feature_not_supported",
];

/// Infrastructure errors that the dice choose from.
const RUNNER_ERRORS: [&str; 9] = [
    "request_timeout",
    "startup_timeout",
    "runner_scheduling_failure",
    "runner_connection_timeout",
    "runner_disconnected",
    "runner_connection_refused",
    "runner_incomplete_response",
    "runner_server_error",
    "internal_error",
];

/// A model error of the dice's choice.
pub(crate) fn some_model_error(dice: Dice, ordinal: u64) -> Outcome {
    Outcome::ModelError(dice.pick(&MODEL_ERRORS, ordinal, "model_error").to_owned())
}

/// An infrastructure error of the dice's choice.
pub(crate) fn some_runner_error(dice: Dice, ordinal: u64) -> Outcome {
    Outcome::RunnerError(dice.pick(&RUNNER_ERRORS, ordinal, "runner_error").to_owned())
}

/// Ends a request as planned.
pub(crate) fn planned(request: &Request, making: &Making<'_>) -> Finished {
    let input: Input = serde_json::from_slice(&request.input).unwrap_or_default();
    match &request.plan.outcome {
        Outcome::Ok => match output::check(request.model, &input) {
            Ok(()) => good(request, &input, making),
            Err(detail) => refused(&json!({ "detail": detail }), making),
        },
        Outcome::ModelError(kind) => {
            let prompt = input.get("prompt").unwrap_or(&Value::Null);
            let message = "The input could not be processed";
            refused(&json!({ "detail": output::complaint("prompt", message, kind, prompt) }), making)
        }
        Outcome::RunnerError(kind) => flat(OutcomeKind::RunnerError, runner_status(kind), "The runner failed", kind),
        Outcome::Answer { status, body } => {
            let kind = if (200..300).contains(status) { OutcomeKind::Ok } else { OutcomeKind::ModelError };
            finished(kind, *status, body)
        }
    }
}

/// Ends a request that was cancelled.
pub(crate) fn canceled() -> Finished {
    flat(OutcomeKind::Canceled, 499, "Request was cancelled", "client_cancelled")
}

/// Ends a request whose start deadline passed.
pub(crate) fn start_timeout() -> Finished {
    flat(OutcomeKind::StartTimeout, 504, "Request timed out", "request_timeout")
}

fn good(request: &Request, input: &Input, making: &Making<'_>) -> Finished {
    let made = output::make(request.model, input, making);
    Finished {
        units_header: Some(output::units_text(made.units)),
        units: made.units,
        cost: made.cost,
        pictures: made.pictures,
        inference: Some(making.run_seconds),
        ..finished(OutcomeKind::Ok, 200, &made.body)
    }
}

fn refused(body: &Value, making: &Making<'_>) -> Finished {
    Finished {
        units_header: Some("0".to_owned()),
        inference: Some(making.run_seconds),
        ..finished(OutcomeKind::ModelError, 422, &body.to_string())
    }
}

fn flat(kind: OutcomeKind, status: u16, detail: &str, error_type: &str) -> Finished {
    Finished {
        error: Some(detail.to_owned()),
        error_type: Some(error_type.to_owned()),
        ..finished(kind, status, &json!({ "detail": detail, "error_type": error_type }).to_string())
    }
}

fn finished(kind: OutcomeKind, status: u16, body: &str) -> Finished {
    let payload = respaced(body);
    Finished {
        kind,
        status,
        result_sha256: hex::encode(Sha256::digest(body)),
        payload_sha256: hex::encode(Sha256::digest(&payload)),
        body: Bytes::from(body.to_owned()),
        payload: Bytes::from(payload),
        error: None,
        error_type: None,
        units_header: None,
        units: Decimal::ZERO,
        cost: Decimal::ZERO,
        pictures: Vec::new(),
        inference: None,
    }
}

/// The status code of fal's page on request errors; its unlisted ones are internal.
fn runner_status(error_type: &str) -> u16 {
    match error_type {
        "request_timeout" | "startup_timeout" => 504,
        "runner_incomplete_response" => 502,
        "runner_server_error" | "internal_error" => 500,
        "client_disconnected" | "client_cancelled" => 499,
        "bad_request" => 400,
        _ => 503,
    }
}
