//! fal's names for errors, each with its documented status and what it means to us.

use domain::ErrorClass::{
    self, Canceled, ContentPolicy, Infrastructure, MediaInput, ModelError, NoMedia, RateLimited, TimeoutRun,
    TimeoutStart, Validation,
};

/// One of fal's error types.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// The documented status, for places that give the name alone.
    pub(super) status: u16,
    pub(super) class: ErrorClass,
    /// Whether the same input may succeed at another time.
    pub(super) retryable: bool,
    /// Whether the model says this, after it began to work, and not fal's machinery before or around it.
    pub(super) by_model: bool,
}

/// Finds a type by fal's name.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

const fn model(name: &'static str, status: u16, class: ErrorClass, retryable: bool) -> Row {
    Row { name, status, class, retryable, by_model: true }
}

const fn request(name: &'static str, status: u16, class: ErrorClass, retryable: bool) -> Row {
    Row { name, status, class, retryable, by_model: false }
}

/// Every type of fal's pages on model errors and on request errors.
#[rustfmt::skip]
pub(super) const TABLE: [Row; 45] = [
    model("internal_server_error",               500, ModelError,     true),
    model("generation_timeout",                  504, TimeoutRun,     true),
    model("downstream_service_error",            500, ModelError,     true),
    model("downstream_service_unavailable",      500, Infrastructure, true),
    model("content_policy_violation",            422, ContentPolicy,  false),
    model("no_media_generated",                  422, NoMedia,        false),
    model("image_too_small",                     422, MediaInput,     false),
    model("image_too_large",                     422, MediaInput,     false),
    model("image_load_error",                    422, MediaInput,     false),
    model("file_download_error",                 422, MediaInput,     false),
    model("face_detection_error",                422, MediaInput,     false),
    model("file_too_large",                      422, MediaInput,     false),
    model("greater_than",                        422, Validation,     false),
    model("greater_than_equal",                  422, Validation,     false),
    model("less_than",                           422, Validation,     false),
    model("less_than_equal",                     422, Validation,     false),
    model("multiple_of",                         422, Validation,     false),
    model("sequence_too_short",                  422, Validation,     false),
    model("sequence_too_long",                   422, Validation,     false),
    model("one_of",                              422, Validation,     false),
    model("feature_not_supported",               422, Validation,     false),
    model("invalid_archive",                     422, MediaInput,     false),
    model("archive_file_count_below_minimum",    422, MediaInput,     false),
    model("archive_file_count_exceeds_maximum",  422, MediaInput,     false),
    model("audio_duration_too_long",             422, MediaInput,     false),
    model("audio_duration_too_short",            422, MediaInput,     false),
    model("video_duration_too_long",             422, MediaInput,     false),
    model("video_duration_too_short",            422, MediaInput,     false),
    model("unsupported_image_format",            422, MediaInput,     false),
    model("unsupported_audio_format",            422, MediaInput,     false),
    model("unsupported_video_format",            422, MediaInput,     false),
    // fal ends a request that did not start in the time the submit allowed. Nothing ran, so another try costs nothing.
    request("request_timeout",                   504, TimeoutStart,   true),
    request("startup_timeout",                   504, TimeoutStart,   true),
    request("runner_scheduling_failure",         503, Infrastructure, true),
    request("runner_connection_timeout",         503, Infrastructure, true),
    request("runner_disconnected",               503, Infrastructure, true),
    request("runner_connection_refused",         503, Infrastructure, true),
    request("runner_connection_error",           503, Infrastructure, true),
    request("runner_incomplete_response",        502, Infrastructure, true),
    request("runner_server_error",               500, Infrastructure, true),
    request("client_disconnected",               499, Canceled,       false),
    request("client_cancelled",                  499, Canceled,       false),
    request("bad_request",                       400, Validation,     false),
    request("internal_error",                    500, Infrastructure, true),
    request("concurrent_requests_limit",         429, RateLimited,    true),
];
