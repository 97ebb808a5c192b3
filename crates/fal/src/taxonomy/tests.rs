use domain::ErrorClass as C;

use super::*;

/// One line per type: name, class, retryable, charged. The rows say what a job's owner will see and pay.
const GOLDEN: &str = "\
internal_server_error model_error retry No
generation_timeout timeout_run retry No
downstream_service_error model_error retry No
downstream_service_unavailable infrastructure retry No
content_policy_violation content_policy final Maybe
no_media_generated no_media final Maybe
image_too_small media_input final Maybe
image_too_large media_input final Maybe
image_load_error media_input final Maybe
file_download_error media_input final Maybe
face_detection_error media_input final Maybe
file_too_large media_input final Maybe
greater_than validation final Maybe
greater_than_equal validation final Maybe
less_than validation final Maybe
less_than_equal validation final Maybe
multiple_of validation final Maybe
sequence_too_short validation final Maybe
sequence_too_long validation final Maybe
one_of validation final Maybe
feature_not_supported validation final Maybe
invalid_archive media_input final Maybe
archive_file_count_below_minimum media_input final Maybe
archive_file_count_exceeds_maximum media_input final Maybe
audio_duration_too_long media_input final Maybe
audio_duration_too_short media_input final Maybe
video_duration_too_long media_input final Maybe
video_duration_too_short media_input final Maybe
unsupported_image_format media_input final Maybe
unsupported_audio_format media_input final Maybe
unsupported_video_format media_input final Maybe
request_timeout timeout_start retry No
startup_timeout timeout_start retry No
runner_scheduling_failure infrastructure retry No
runner_connection_timeout infrastructure retry No
runner_disconnected infrastructure retry No
runner_connection_refused infrastructure retry No
runner_connection_error infrastructure retry No
runner_incomplete_response infrastructure retry No
runner_server_error infrastructure retry No
client_disconnected canceled final Maybe
client_cancelled canceled final Maybe
bad_request validation final No
internal_error infrastructure retry No
concurrent_requests_limit rate_limited retry No
";

fn line(name: &str, sorted: &Classified) -> String {
    let retry = if sorted.retryable { "retry" } else { "final" };
    format!("{name} {} {retry} {:?}\n", sorted.class, sorted.charged)
}

#[test]
fn every_documented_type_has_its_golden_row() {
    let rows: String =
        table::TABLE.iter().map(|row| line(row.name, &classify_model_error(None, Some(row.name), None, b""))).collect();
    assert_eq!(rows, GOLDEN);
}

#[test]
fn a_type_means_the_same_in_a_header_in_a_flat_body_and_in_a_list() {
    for row in &table::TABLE {
        let flat = format!(r#"{{"detail":"x","error_type":"{}"}}"#, row.name);
        let list = format!(r#"{{"detail":[{{"loc":["body"],"msg":"x","type":"{}"}}]}}"#, row.name);
        let of = |kind, body: &str| classify_model_error(Some(row.status), kind, None, body.as_bytes());
        let expected = of(Some(row.name), r#"{"detail":"x"}"#);
        assert_eq!(of(None, &flat), expected);
        assert_eq!(Classified { message: "x".into(), ..of(None, &list) }, expected);
        assert_eq!(expected.error_type.as_deref(), Some(row.name));
    }
}

#[test]
fn without_a_known_type_the_status_decides() {
    for (status, class, retryable, charged) in [
        (400, C::Validation, false, Charge::No),
        (401, C::Credential, true, Charge::No),
        (402, C::Credential, true, Charge::No),
        (403, C::Credential, true, Charge::No),
        (404, C::UnknownModel, false, Charge::No),
        (405, C::Validation, false, Charge::No),
        (408, C::Infrastructure, true, Charge::No),
        (409, C::Infrastructure, true, Charge::No),
        (413, C::Validation, false, Charge::No),
        (422, C::Validation, false, Charge::Maybe),
        (429, C::RateLimited, true, Charge::No),
        (499, C::Canceled, false, Charge::Maybe),
        (500, C::ModelError, true, Charge::No),
        (502, C::Infrastructure, true, Charge::No),
        (503, C::Infrastructure, true, Charge::No),
        (504, C::TimeoutRun, true, Charge::No),
        (520, C::Infrastructure, true, Charge::No),
    ] {
        for kind in [None, Some("value_error.missing"), Some("invented_tomorrow")] {
            let sorted = classify_model_error(Some(status), kind, None, b"");
            assert_eq!((sorted.class, sorted.retryable, sorted.charged), (class, retryable, charged), "{status}");
        }
    }
}

#[test]
fn a_callbacks_error_text_gives_the_status() {
    let text = Some("Invalid status code: 422");
    let body = br#"{"detail":[{"loc":["body","prompt"],"msg":"field required","type":"value_error.missing"}]}"#;
    let sorted = classify_model_error(None, None, text, body);
    assert_eq!((sorted.class, sorted.charged), (C::Validation, Charge::Maybe));
    assert_eq!(sorted.message, "body.prompt: field required");
    assert_eq!(sorted.error_type.as_deref(), Some("value_error.missing"));
    for (text, status) in [("Invalid status code: 503", Some(503)), ("status code:", None), ("a 422", None)] {
        assert_eq!(status_in_text(text), status);
    }
}

#[test]
fn a_known_type_behind_an_unknown_one_still_counts() {
    let body = br#"{"detail":[{"msg":"a","type":"odd"},{"msg":"b","type":"content_policy_violation"}]}"#;
    assert_eq!(classify_model_error(Some(422), None, None, body).class, C::ContentPolicy);
}

#[test]
fn the_message_is_found_in_every_shape_of_body() {
    for (body, message) in [
        (r#"{"detail":"Request timed out","error_type":"request_timeout"}"#, "Request timed out"),
        (r#"{"error":{"type":"validation_error","message":"bad cursor"}}"#, "bad cursor"),
        (r#"{"error":"plain"}"#, "plain"),
        (r#"{"message":"m"}"#, "m"),
        (r#"{"detail":["one","two"]}"#, "one; two"),
        (r#"{"detail":{"msg":"single"}}"#, "single"),
        (r#"{"detail":[{"loc":["body","image",0],"msg":"x"}]}"#, "body.image.0: x"),
        (r#"{"detail":[1,2,3,4,5,6,7]}"#, "1; 2; 3; 4; 5; and 2 more"),
        ("<html>nginx</html>", "HTTP status 502"),
        ("[]", "HTTP status 502"),
        (r#"{"detail":null}"#, "HTTP status 502"),
    ] {
        assert_eq!(classify_model_error(Some(502), None, None, body.as_bytes()).message, message, "{body}");
    }
}

#[test]
fn hostile_bodies_are_sorted_by_status_and_their_text_is_tamed() {
    let deep = "[".repeat(100_000);
    let number = r#"{"detail":[{"msg":"x","type":"one_of","ctx":1e1000000}]}"#;
    let escapes = r#"{"detail":"a\u0000\u001b[2J\n"}"#;
    assert_eq!(classify_model_error(Some(503), None, None, deep.as_bytes()).class, C::Infrastructure);
    assert_eq!(classify_model_error(Some(422), None, None, number.as_bytes()).message, "x");
    let message = classify_model_error(Some(422), None, None, escapes.as_bytes()).message;
    assert!(!message.chars().any(char::is_control), "{message:?}");
    let long = format!(r#"{{"detail":"{}"}}"#, "x".repeat(10_000));
    assert!(classify_model_error(None, None, None, long.as_bytes()).message.len() <= 1024);
    assert_eq!(classify_model_error(Some(422), None, None, &[0xff, 0xfe]).class, C::Validation);
}

#[test]
fn fals_own_headers_settle_retry_and_charge() {
    let server = classify_model_error(Some(500), Some("internal_server_error"), None, b"");
    assert!(!server.clone().with_needs_retry(500, Some(false)).retryable);
    let refused = classify_model_error(Some(422), None, None, b"");
    assert!(!refused.clone().with_needs_retry(422, Some(true)).retryable, "the header counts from 500 on");
    assert_eq!(refused.clone().with_billable_units(Some("0")).charged, Charge::No);
    assert_eq!(refused.clone().with_billable_units(Some("3.14159265")).charged, Charge::Yes);
    assert_eq!(refused.with_billable_units(Some("odd")).charged, Charge::Maybe);
    assert_eq!(server.with_billable_units(Some("1")).charged, Charge::No, "500 and more are never billed");
}
