//! What each thing that can happen to a submit is taken for.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use domain::ErrorClass;
use fal::QueueClient;
use fal::client::{SubmitOptions, SubmitOutcome};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::server::{MakeReply, Reply, Server, answer, head};
use crate::{KEY, client, config, http, model};

const ACCEPTED: &str = r#"{"status":"IN_QUEUE","request_id":"7-a","gateway_request_id":"7-b","queue_position":0}"#;

fn options() -> SubmitOptions<'static> {
    SubmitOptions { webhook_url: None, start_timeout: Duration::from_mins(10), deadline: None }
}

async fn submit(client: &QueueClient) -> SubmitOutcome {
    client.submit(&model(), Bytes::from_static(b"{}"), &options()).await
}

fn is_unknown(outcome: &SubmitOutcome) -> bool {
    matches!(outcome, SubmitOutcome::Unknown { .. })
}

#[tokio::test]
async fn a_submit_is_one_post_with_fals_headers_and_the_callers_bytes() {
    let server = Server::always(200, &[], ACCEPTED).await;
    let options = SubmitOptions { webhook_url: Some("https://us.example/h?a=1&b=2"), ..options() };
    let body = Bytes::from_static(b"{ \"prompt\" : \"x\" }");
    let outcome = client(&server).submit(&model(), body.clone(), &options).await;
    let expected = SubmitOutcome::Accepted { request_id: "7-a".into(), gateway_request_id: Some("7-b".into()) };
    assert_eq!(outcome, expected);
    let [seen] = server.seen().try_into().unwrap();
    assert_eq!((seen.method.as_str(), seen.body), ("POST", body.to_vec()));
    assert_eq!(seen.target, "/fal-ai/flux/dev?fal_webhook=https%3A%2F%2Fus.example%2Fh%3Fa%3D1%26b%3D2");
    for (name, value) in [
        ("authorization", &*format!("Key {KEY}")),
        ("content-type", "application/json"),
        ("x-fal-request-start-timeout", "600"),
        ("x-fal-request-timeout", "600"),
    ] {
        assert_eq!(seen.headers[name], value, "{name}");
    }
    assert!(!seen.headers.contains_key("accept-encoding") && !seen.headers.contains_key("x-fal-no-retry"));
}

/// The table of rulings.md, section A, for everything that is a whole answer.
#[tokio::test]
async fn every_answer_is_sorted_by_the_table() {
    let refused = |status, class: ErrorClass| format!("refused {status} {class}");
    let fal: &[(&str, &str)] = &[("x-fal-request-id", "g")];
    let nginx = "<html><center>nginx</center></html>";
    for (status, headers, body, expected) in [
        (200, fal, ACCEPTED, "accepted".to_owned()),
        (202, fal, ACCEPTED, "accepted".to_owned()),
        (201, fal, r#"{"request_id":"7-a"}"#, "accepted".to_owned()),
        (200, fal, r#"{"request_id":"7-a","status_url":"https://evil.example/x"}"#, "accepted".to_owned()),
        (200, fal, r#"{"status":"IN_QUEUE"}"#, "unknown".to_owned()),
        (200, fal, r#"{"request_id":"a/../b"}"#, "unknown".to_owned()),
        (200, fal, r#"{"request_id":""}"#, "unknown".to_owned()),
        (200, fal, r#"{"request_id":null}"#, "unknown".to_owned()),
        (200, fal, r#"{"request_id":["a"]}"#, "unknown".to_owned()),
        (200, fal, "<html>", "unknown".to_owned()),
        (200, &[("content-encoding", "gzip")], ACCEPTED, "unknown".to_owned()),
        (204, fal, "", "unknown".to_owned()),
        (302, fal, "", "unknown".to_owned()),
        (400, fal, r#"{"detail":"x","error_type":"bad_request"}"#, refused(400, ErrorClass::Validation)),
        (401, fal, "", "credential 401".to_owned()),
        (402, fal, "", "credential 402".to_owned()),
        (403, &[], r#"{"detail":"User is locked. Reason: Exhausted balance."}"#, "credential 403".to_owned()),
        (404, fal, r#"{"detail":"no such app"}"#, refused(404, ErrorClass::UnknownModel)),
        (408, fal, "", "unknown".to_owned()),
        (413, &[], nginx, refused(413, ErrorClass::Validation)),
        (422, fal, r#"{"detail":[{"loc":["body"],"msg":"x","type":"missing"}]}"#, refused(422, ErrorClass::Validation)),
        (
            422,
            fal,
            r#"{"detail":[{"msg":"x","type":"content_policy_violation"}]}"#,
            refused(422, ErrorClass::ContentPolicy),
        ),
        (429, fal, "", "rate limited None".to_owned()),
        (429, &[("retry-after", "12")], "", "rate limited Some(12s)".to_owned()),
        (499, fal, "", "unknown".to_owned()),
        (502, &[], nginx, "unknown".to_owned()),
        (503, &[], r#"{"detail":"x"}"#, "unknown".to_owned()),
        (504, &[], nginx, "unknown".to_owned()),
        (502, fal, nginx, refused(502, ErrorClass::Infrastructure)),
        (500, fal, r#"{"detail":"x"}"#, refused(500, ErrorClass::Infrastructure)),
    ] {
        let server = Server::start(move |_| answer(status, headers, body)).await;
        let word = match submit(&client(&server)).await {
            SubmitOutcome::Accepted { .. } => "accepted".to_owned(),
            SubmitOutcome::Unknown { .. } => "unknown".to_owned(),
            SubmitOutcome::Refused { status, class, .. } => refused(status, class),
            SubmitOutcome::CredentialRefused { status, .. } => format!("credential {status}"),
            SubmitOutcome::RateLimited { retry_after, .. } => {
                format!("rate limited {retry_after:?}")
            }
            SubmitOutcome::NotSent { message } => format!("not sent: {message}"),
        };
        assert_eq!(word, expected, "{status} {body}");
        assert_eq!(server.seen().len(), 1, "one submit is one POST");
    }
}

/// F24, S20.
#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_stays() {
    let canary = Server::always(200, &[], ACCEPTED).await;
    for status in [301, 302, 303, 307, 308] {
        let target = canary.url.to_string();
        let server = Server::start(move |_| answer(status, &[("location", &target)], "")).await;
        let client = client(&server);
        assert!(is_unknown(&submit(&client).await), "{status}");
        client.status(&model(), "7-a").await;
        client.result(&model(), "7-a").await;
        client.cancel(&model(), "7-a").await;
    }
    assert!(canary.seen().is_empty());
}

/// F15, F23: whatever happens after the request left, the outcome is unknown, and it comes in time.
#[tokio::test]
async fn an_answer_that_breaks_off_or_never_ends_is_unknown() {
    let partial = head(200, &[], Some(500));
    let big = head(200, &[], Some(1 << 30));
    let chunk = [b"4000\r\n".as_slice(), &[b' '; 0x4000], b"\r\n"].concat();
    let chunked = head(200, &[("transfer-encoding", "chunked")], None);
    let dribble = b"HTTP/1.1 200 X\r\nx-slow".to_vec();
    let replies: [MakeReply; 6] = [
        Box::new(|| Reply::Close(Vec::new())),
        Box::new(|| Reply::Hold(Vec::new())),
        Box::new(move || Reply::Hold(dribble.clone())),
        Box::new(move || Reply::Close([partial.as_slice(), b"{\"request_id\":"].concat())),
        Box::new(move || Reply::Hold([big.as_slice(), b"{"].concat())),
        Box::new(move || Reply::Endless(chunked.clone(), chunk.clone())),
    ];
    for (number, reply) in replies.into_iter().enumerate() {
        let server = Server::start(move |_| reply()).await;
        let began = Instant::now();
        let outcome = submit(&client(&server)).await;
        assert!(is_unknown(&outcome) && outcome.may_be_running(), "{number}: {outcome:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_refused_connection_is_provably_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::always(200, &[], ACCEPTED).await;
    let mut config = config(&server);
    config.queue_url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let outcome = submit(&QueueClient::new(config, http()).unwrap()).await;
    assert!(matches!(outcome, SubmitOutcome::NotSent { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_tls_handshake_that_fails_is_provably_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 not TLS\r\n\r\n").await;
        }
    });
    let server = Server::always(200, &[], ACCEPTED).await;
    let mut config = config(&server);
    config.queue_url = format!("https://{address}/").parse().unwrap();
    let outcome = submit(&QueueClient::new(config, http()).unwrap()).await;
    assert!(matches!(outcome, SubmitOutcome::NotSent { .. }), "{outcome:?}");
}

/// F26: a lease that ran out before the call began.
#[tokio::test]
async fn nothing_is_sent_after_the_callers_deadline() {
    let server = Server::always(200, &[], ACCEPTED).await;
    let options = SubmitOptions { deadline: Some(Instant::now()), ..options() };
    let outcome = client(&server).submit(&model(), Bytes::from_static(b"{}"), &options).await;
    assert!(matches!(outcome, SubmitOutcome::NotSent { .. }), "{outcome:?}");
    assert!(server.seen().is_empty());
}

/// F25: the server closes kept connections without a word, and no request arrives twice.
#[tokio::test]
async fn a_dead_kept_connection_never_doubles_a_submit() {
    let bytes = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{ACCEPTED}", ACCEPTED.len());
    let server = Server::start(move |_| Reply::Close(bytes.clone().into_bytes())).await;
    let client = client(&server);
    for number in 0..100 {
        client.submit(&model(), Bytes::from(format!("{{\"n\":{number}}}")), &options()).await;
    }
    let mut times: HashMap<Vec<u8>, usize> = HashMap::new();
    for seen in server.seen() {
        *times.entry(seen.body).or_default() += 1;
    }
    assert!(times.len() > 50 && times.values().all(|count| *count == 1), "{times:?}");
}

/// S41: neither the key nor the callback token is in any message, even when fal echoes them.
#[tokio::test]
async fn no_message_holds_the_key_or_the_callback_url() {
    let echo = r#"{"detail":"bad key key-id:canary-secret-0123456789\u001b[31m"}"#;
    let options = SubmitOptions { webhook_url: Some("https://us.example/hooks/fal/canary-token"), ..options() };
    for status in [200, 302, 400, 401, 404, 422, 429, 500, 502] {
        let server = Server::always(status, &[("x-fal-request-id", "g")], echo).await;
        let client = client(&server);
        let submit = client.submit(&model(), Bytes::new(), &options).await;
        let text = format!(
            "{submit:?} {:?} {:?} {client:?}",
            client.status(&model(), "7-a").await,
            client.cancel(&model(), "7-a").await,
        );
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
    let gone = Server::start(|_| Reply::Close(Vec::new())).await;
    let submit = client(&gone).submit(&model(), Bytes::new(), &options).await;
    assert!(!format!("{submit:?}").contains("canary"), "{submit:?}");
}
