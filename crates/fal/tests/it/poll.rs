//! Status, result and cancel.

use std::time::Duration;

use domain::ErrorClass;
use fal::client::{CancelOutcome, ResultOutcome, StatusOutcome};
use fal::taxonomy::Charge;

use crate::server::{Reply, Server, answer, head};
use crate::{client, model};

const FAL: &[(&str, &str)] = &[("x-fal-request-id", "g")];

#[tokio::test]
async fn the_word_in_the_body_is_the_status_whatever_the_code() {
    let completed = |error: Option<(&str, Option<&str>)>| StatusOutcome::Completed {
        error: error.map(|(text, kind)| (text.to_owned(), kind.map(str::to_owned))),
    };
    for (body, expected) in [
        (r#"{"status":"IN_QUEUE","queue_position":2}"#, StatusOutcome::InQueue { position: Some(2) }),
        (r#"{"status":"IN_QUEUE","queue_position":null}"#, StatusOutcome::InQueue { position: None }),
        (r#"{"status":"IN_QUEUE"}"#, StatusOutcome::InQueue { position: None }),
        (r#"{"status":"IN_PROGRESS","logs":[{"message":"x"}]}"#, StatusOutcome::InProgress),
        (r#"{"status":"COMPLETED","metrics":{},"error":null}"#, completed(None)),
        (
            r#"{"status":"COMPLETED","error":"Request timed out","error_type":"request_timeout"}"#,
            completed(Some(("Request timed out", Some("request_timeout")))),
        ),
        (
            r#"{"status":"COMPLETED","error_type":"startup_timeout"}"#,
            completed(Some(("startup_timeout", Some("startup_timeout")))),
        ),
        (r#"{"status":"NOT_FOUND"}"#, StatusOutcome::NotFound),
    ] {
        for code in [200, 202] {
            let server = Server::start(move |_| answer(code, FAL, body)).await;
            assert_eq!(client(&server).status(&model(), "7-a").await, expected, "{code} {body}");
            let [seen] = server.seen().try_into().unwrap();
            assert_eq!(
                (seen.method.as_str(), seen.target.as_str()),
                ("GET", "/fal-ai/flux/requests/7-a/status?logs=0")
            );
        }
    }
}

#[tokio::test]
async fn a_status_that_teaches_nothing_is_unavailable() {
    for (code, body) in
        [(200, ""), (200, "<html>"), (200, r#"{"status":"FROZEN"}"#), (307, ""), (500, ""), (502, "nginx"), (405, "")]
    {
        let server = Server::start(move |_| answer(code, FAL, body)).await;
        let outcome = client(&server).status(&model(), "7-a").await;
        assert!(matches!(outcome, StatusOutcome::Unavailable { .. }), "{code} {body}: {outcome:?}");
    }
    let server = Server::always(404, FAL, r#"{"status":"NOT_FOUND"}"#).await;
    assert_eq!(client(&server).status(&model(), "7-a").await, StatusOutcome::NotFound);
    let server = Server::always(429, &[("retry-after", "3")], "").await;
    let limited = StatusOutcome::RateLimited { retry_after: Some(Duration::from_secs(3)) };
    assert_eq!(client(&server).status(&model(), "7-a").await, limited);
    let server = Server::always(401, FAL, "").await;
    let outcome = client(&server).status(&model(), "7-a").await;
    assert!(matches!(outcome, StatusOutcome::CredentialRefused { status: 401, .. }));
}

#[tokio::test]
async fn an_id_that_could_leave_its_path_asks_fal_nothing() {
    let server = Server::always(200, FAL, r#"{"status":"OK"}"#).await;
    let client = client(&server);
    for id in ["", "..", "a/b", "a?b", "a b", "%2e%2e"] {
        assert!(matches!(client.status(&model(), id).await, StatusOutcome::Unavailable { .. }));
        assert!(matches!(client.result(&model(), id).await, ResultOutcome::Unavailable { .. }));
        assert!(matches!(client.cancel(&model(), id).await, CancelOutcome::Unavailable { .. }));
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_result_is_the_bytes_that_fal_sent() {
    let body = "{ \"seed\": 17454220438242315174, \"n\": 1e999 }\n";
    let server = Server::always(200, &[("x-fal-billable-units", "3.14159265")], body).await;
    let outcome = client(&server).result(&model(), "7-a").await;
    let expected = ResultOutcome::Ok { body: body.into(), billable_units: Some("3.14159265".into()) };
    assert_eq!(outcome, expected);
    assert_eq!(server.seen()[0].target, "/fal-ai/flux/requests/7-a");
}

#[tokio::test]
async fn every_result_answer_is_sorted() {
    let units: &[(&str, &str)] = &[("x-fal-request-id", "g"), ("x-fal-billable-units", "0")];
    let error = |class: ErrorClass, charged: Charge| format!("{class} {charged:?}");
    for (code, headers, body, expected) in [
        (400, FAL, r#"{"detail":"Request is still in progress"}"#, "not ready".to_owned()),
        (400, &[], r#"{"status":"IN_QUEUE"}"#, "not ready".to_owned()),
        (202, FAL, r#"{"status":"IN_PROGRESS"}"#, "not ready".to_owned()),
        (202, FAL, r#"{"images":[]}"#, "ok".to_owned()),
        (400, FAL, r#"{"detail":"x","error_type":"bad_request"}"#, error(ErrorClass::Validation, Charge::No)),
        (400, &[], "<html>nginx", "unavailable".to_owned()),
        (
            422,
            FAL,
            r#"{"detail":[{"msg":"x","type":"no_media_generated"}]}"#,
            error(ErrorClass::NoMedia, Charge::Maybe),
        ),
        (422, units, r#"{"detail":[{"msg":"x","type":"missing"}]}"#, error(ErrorClass::Validation, Charge::No)),
        (404, FAL, r#"{"detail":"not found"}"#, "gone".to_owned()),
        (404, units, r#"{"detail":"Path /x not found"}"#, error(ErrorClass::UnknownModel, Charge::No)),
        (410, FAL, "", "gone".to_owned()),
        (499, &[], "", error(ErrorClass::Canceled, Charge::Maybe)),
        (
            500,
            FAL,
            r#"{"detail":[{"msg":"x","type":"internal_server_error"}]}"#,
            error(ErrorClass::ModelError, Charge::No),
        ),
        (504, FAL, r#"{"detail":"x","error_type":"request_timeout"}"#, error(ErrorClass::TimeoutStart, Charge::No)),
        (
            503,
            FAL,
            r#"{"detail":"x","error_type":"runner_disconnected"}"#,
            error(ErrorClass::Infrastructure, Charge::No),
        ),
        (503, &[], "<html>nginx", "unavailable".to_owned()),
        (408, FAL, "", "unavailable".to_owned()),
        (302, FAL, "", "unavailable".to_owned()),
        (429, FAL, "", "rate limited".to_owned()),
        (403, FAL, "", "credential".to_owned()),
    ] {
        let server = Server::start(move |_| answer(code, headers, body)).await;
        let word = match client(&server).result(&model(), "7-a").await {
            ResultOutcome::Ok { .. } => "ok".to_owned(),
            ResultOutcome::ModelError { class, charged, body: kept, .. } => {
                assert_eq!(kept, body, "an error's body is kept as it came");
                error(class, charged)
            }
            ResultOutcome::NotReady => "not ready".to_owned(),
            ResultOutcome::Gone => "gone".to_owned(),
            ResultOutcome::TooLarge => "too large".to_owned(),
            ResultOutcome::RateLimited { .. } => "rate limited".to_owned(),
            ResultOutcome::CredentialRefused { .. } => "credential".to_owned(),
            ResultOutcome::Unavailable { .. } => "unavailable".to_owned(),
        };
        assert_eq!(word, expected, "{code} {body}");
    }
}

#[tokio::test]
async fn a_result_beyond_the_cap_is_too_large_by_promise_or_by_count() {
    let promised = Server::start(|_| Reply::Hold(head(200, FAL, Some(1024 * 1024 + 1)))).await;
    assert_eq!(client(&promised).result(&model(), "7-a").await, ResultOutcome::TooLarge);
    let endless = Server::start(|_| Reply::Endless(head(200, FAL, None), vec![b' '; 64 * 1024])).await;
    assert_eq!(client(&endless).result(&model(), "7-a").await, ResultOutcome::TooLarge);
    let exact = Server::start(|_| answer(200, FAL, &" ".repeat(1024 * 1024))).await;
    assert!(
        matches!(client(&exact).result(&model(), "7-a").await, ResultOutcome::Ok { body, .. } if body.len() == 1024 * 1024)
    );
}

#[tokio::test]
async fn a_result_that_breaks_off_is_never_taken_for_whole() {
    let cut = Server::start(|_| Reply::Close([head(200, FAL, Some(100)).as_slice(), b"{}"].concat())).await;
    let outcome = client(&cut).result(&model(), "7-a").await;
    assert!(matches!(outcome, ResultOutcome::Unavailable { .. }), "{outcome:?}");
    let slow = Server::start(|_| Reply::Hold([head(200, FAL, Some(100)).as_slice(), b"{"].concat())).await;
    let outcome = client(&slow).result(&model(), "7-a").await;
    assert!(matches!(outcome, ResultOutcome::Unavailable { .. }), "{outcome:?}");
}

#[tokio::test]
async fn an_errors_body_is_cut_and_still_sorted_by_its_status() {
    let endless = Server::start(|_| Reply::Endless(head(422, FAL, None), vec![b' '; 64 * 1024])).await;
    let outcome = client(&endless).result(&model(), "7-a").await;
    let ResultOutcome::ModelError { body, class, status: 422, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((body.len(), class), (256 * 1024, ErrorClass::Validation));
}

#[tokio::test]
async fn a_cancel_is_a_put_and_reads_fals_word() {
    let server = Server::always(202, FAL, r#"{"status":"CANCELLATION_REQUESTED"}"#).await;
    assert_eq!(client(&server).cancel(&model(), "7-a").await, CancelOutcome::Requested);
    let [seen] = server.seen().try_into().unwrap();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("PUT", "/fal-ai/flux/requests/7-a/cancel"));
    for (code, body, expected) in [
        (200, r#"{"status":"OK"}"#, CancelOutcome::Canceled),
        (400, r#"{"status":"ALREADY_COMPLETED"}"#, CancelOutcome::AlreadyCompleted),
        (404, r#"{"status":"NOT_FOUND"}"#, CancelOutcome::NotFound),
    ] {
        let server = Server::start(move |_| answer(code, FAL, body)).await;
        assert_eq!(client(&server).cancel(&model(), "7-a").await, expected);
    }
    let server = Server::always(503, &[], "nginx").await;
    assert!(matches!(client(&server).cancel(&model(), "7-a").await, CancelOutcome::Unavailable { .. }));
}
