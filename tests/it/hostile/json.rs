//! F49: JSON that breaks what stands behind it. Each body is signed in earnest, so what becomes of it is decided by what it
//! says alone: applied, kept or refused with its cause, and never asked for again and again.

use super::{held, raw::Call, still};
use serde_json::Value;
use testkit::{JobId, World};

/// What becomes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The payload is the result, byte for byte.
    Result,
    /// fal's error is believed, and the job has failed.
    Failure,
    /// Kept with this cause; the job goes on.
    Kept(&'static str),
    /// Refused with 400, and kept as rejected.
    Refused,
}

struct Row {
    name: &'static str,
    /// `ID` stands for the request's id.
    body: Vec<u8>,
    end: End,
}

fn row(name: &'static str, body: impl Into<Vec<u8>>, end: End) -> Row {
    Row { name, body: body.into(), end }
}

/// A body with this payload.
fn ok(name: &'static str, payload: impl AsRef<[u8]>, end: End) -> Row {
    let head = br#"{"request_id": "ID", "gateway_request_id": "ID", "status": "OK", "payload": "#;
    row(name, [head, payload.as_ref(), b"}"].concat(), end)
}

/// A body that says ERROR with these members beside.
fn error(name: &'static str, members: impl AsRef<[u8]>) -> Row {
    let head = br#"{"request_id": "ID", "status": "ERROR", "#;
    row(name, [head, members.as_ref(), b"}"].concat(), End::Failure)
}

fn payloads() -> Vec<Row> {
    let deep = |levels| "[".repeat(levels) + &"]".repeat(levels);
    let bomb = format!("[{}]", ["1e131071"; 1_000].join(", "));
    let large_bomb = format!("[{}]", vec!["1e131071"; 20_000].join(","));
    let unreadable = End::Kept("unreadable_body");
    vec![
        ok("a NUL", br#"{"a": "\u0000"}"#, End::Result),
        ok("a NUL in a key", br#"{"a\u0000b": 1}"#, End::Result),
        ok("a raw NUL", b"{\"a\": \"\0\"}", unreadable),
        ok("a lone surrogate", br#"{"a": "\ud800"}"#, End::Result),
        ok("surrogates the wrong way round", br#"{"a": "\udc00\ud800"}"#, End::Result),
        ok("63 deep", deep(63), End::Result),
        ok("64 deep", deep(64), unreadable),
        ok("500 deep", deep(500), unreadable),
        ok("20,000 deep", deep(20_000), unreadable),
        ok("20,000 deep without an end", "[".repeat(20_000), unreadable),
        ok("a huge exponent", "[1e1000000, -1e-1000000]", End::Result),
        ok("a number of 100,000 digits", "9".repeat(100_000), End::Result),
        ok("beyond 64 bits", r#"{"seed": 36893488147419103232, "k": -0, "m": 1.0}"#, End::Result),
        ok("a number bomb", bomb, End::Result),
        ok("a large number bomb", large_bomb, End::Result),
        ok("not UTF-8", b"{\"a\": \"\xff\xfe\"}", unreadable),
        ok("overlong UTF-8", b"{\"a\": \"\xc0\x80\"}", unreadable),
        ok("a surrogate as UTF-8", b"{\"a\": \"\xed\xa0\x80\"}", unreadable),
        ok("equal keys in the payload", r#"{"a": 1, "a": 2, "a": 3}"#, End::Result),
        ok("a million brackets in a string", format!("\"{}\"", "[".repeat(1_000_000)), End::Result),
        ok("terminal tricks", "{\"a\": \"\\u001b[31m\u{202e}\u{feff}\"}", End::Result),
        ok("a text", r#""only a text""#, End::Result),
        ok("false", "false", End::Result),
        ok("null", "null", End::Kept("null_payload")),
        ok("NaN", "NaN", unreadable),
        ok("a comment", "/* */ 1", unreadable),
        ok("a comma too many", "[1,]", unreadable),
    ]
}

fn bodies() -> Vec<Row> {
    let unreadable = End::Kept("unreadable_body");
    let whole = r#"{"request_id": "ID", "status": "OK", "payload": {}}"#;
    let utf16: Vec<u8> = whole.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        row("nothing", "", unreadable),
        row("spaces", " \n\t ", unreadable),
        row("a list", format!("[{whole}]"), unreadable),
        row("two in one", format!("{whole}{whole}"), unreadable),
        row("a byte-order mark", format!("\u{feff}{whole}"), unreadable),
        row("UTF-16", utf16, unreadable),
        row("cut off", &whole.as_bytes()[..whole.len() - 1], unreadable),
        row("a form", "request_id=ID&status=OK", unreadable),
        row("no id", r#"{"status": "OK", "payload": {}}"#, unreadable),
        row("a number as id", r#"{"request_id": 7, "status": "OK", "payload": {}}"#, unreadable),
        row("two ids", r#"{"request_id": "ID", "request_id": "ID", "status": "OK", "payload": {}}"#, unreadable),
        row("two states", r#"{"request_id": "ID", "status": "OK", "status": "ERROR", "payload": {}}"#, unreadable),
        row("two payloads", r#"{"request_id": "ID", "status": "OK", "payload": {}, "payload": 1}"#, unreadable),
        row("two states, one escaped", r#"{"request_id": "ID", "status": "OK", "statu\u0073": "ERROR"}"#, unreadable),
        row("another id with a NUL", r#"{"request_id": "ID\u0000", "status": "OK", "payload": {}}"#, End::Refused),
        row("an empty id", r#"{"request_id": "", "status": "OK", "payload": {}}"#, End::Refused),
        row(
            "a state in small letters",
            r#"{"request_id": "ID", "status": "ok", "payload": {}}"#,
            End::Kept("unknown_status"),
        ),
        row(
            "a state with a NUL",
            r#"{"request_id": "ID", "status": "OK\u0000", "payload": {}}"#,
            End::Kept("unknown_status"),
        ),
        row("a state that is a number", r#"{"request_id": "ID", "status": 200, "payload": {}}"#, unreadable),
        row("no payload", r#"{"request_id": "ID", "status": "OK"}"#, End::Kept("null_payload")),
        row(
            "a gateway id that is none",
            r#"{"request_id": "ID", "gateway_request_id": "\u0000", "status": "OK", "payload": {}}"#,
            End::Result,
        ),
        row(
            "a gateway id that is a list",
            r#"{"request_id": "ID", "gateway_request_id": [1e999], "status": "OK", "payload": {}}"#,
            End::Result,
        ),
        row(
            "members nobody knows",
            r#"{"new": {"a": [1e999]}, "request_id": "ID", "status": "OK", "payload": {}}"#,
            End::Result,
        ),
    ]
}

/// Whatever class an error has, these worlds try once.
fn errors() -> Vec<Row> {
    vec![
        error("an error with a NUL", r#""error": "a\u0000b", "payload": {"detail": "c\u0000d"}"#),
        error("an error with a lone surrogate", r#""error": "\ud800", "payload": "\udfff""#),
        error("an error that is an object", r#""error": {"a": 1e999}, "payload": [1e1000000]"#),
        error("an error of a megabyte", format!(r#""error": "{}", "payload": null"#, "é".repeat(500_000))),
        error("an error of control characters", r#""error": "\u001b[2J\r\n\u202e", "payload": {"detail": "\u0007"}"#),
        error(
            "a detail that bombs",
            format!(r#""error": "x", "payload": {{"detail": [{}]}}"#, ["1e131071"; 1_000].join(",")),
        ),
        error("a detail that is deep", format!(r#""payload": {{"detail": {}{}}}"#, "[".repeat(60), "]".repeat(60))),
        error(
            "a detail of many",
            format!(r#""payload": {{"detail": [{}]}}"#, vec![r#"{"msg": "a", "type": "b"}"#; 5_000].join(",")),
        ),
        error("nothing else", r#""error": null"#),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_payloads_end_applied_or_kept_and_stay_readable() {
    each_ends_as_it_must(payloads()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_end_applied_kept_or_refused() {
    each_ends_as_it_must(bodies()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_errors_end_their_job_with_a_message_that_can_be_shown() {
    each_ends_as_it_must(errors()).await;
}

async fn each_ends_as_it_must(rows: Vec<Row>) {
    let world = still().slots(60).setting("FALCONER_SUBMITTER__ATTEMPTS_MAX", "1").start().await;
    let mut told = Vec::new();
    for row in rows {
        let (id, request) = held(&world, row.name).await;
        let body = with_id(&row.body, &request.request_id);
        assert_eq!(world.forge(&request, body.clone()).await, answer(row.end), "{}", row.name);
        told.push((row, id, request, body));
    }
    for (row, id, request, body) in &told {
        as_it_must(&world, row, *id, body).await;
        // fal may come again, and hears the same.
        let again = Call::genuine(&world, request, body.clone()).send(&world.server().callbacks()).await;
        assert_eq!(again, answer(row.end), "{}", row.name);
    }
    let open = told.iter().filter(|(row, ..)| !matches!(row.end, End::Result | End::Failure));
    let open: Vec<JobId> = open.map(|(_, id, ..)| *id).collect();
    world.sim().release_held();
    world.wait_all_succeeded(&open).await;
    for (row, id, ..) in &told {
        everything_can_be_read(&world, row.name, *id).await;
    }
    world.drain_and_check().await;
}

fn answer(end: End) -> u16 {
    if end == End::Refused { 400 } else { 200 }
}

async fn as_it_must(world: &World, row: &Row, id: JobId, body: &[u8]) {
    let job = world.job(id).await;
    match row.end {
        End::Result => {
            assert_eq!(job["state"], "succeeded", "{}: {job:#}", row.name);
            let result = world.result(id).await;
            assert!(body.windows(result.len()).any(|window| window == result), "{}: not a slice of the body", row.name);
        }
        End::Failure => {
            assert_eq!(job["state"], "failed", "{}: {job:#}", row.name);
            let text = job["error"].to_string();
            assert!(
                text.len() < 4_096 && !text.contains('\u{1b}') && !text.contains('\u{202e}'),
                "{}: {text}",
                row.name
            );
        }
        End::Kept(cause) => {
            assert_eq!(job["state"], "running", "{}: {job:#}", row.name);
            let kept = world.callbacks(&format!("job_id={id}")).await;
            assert_eq!(
                (kept[0]["disposition"].as_str(), kept[0]["cause"].as_str()),
                (Some("kept"), Some(cause)),
                "{}",
                row.name
            );
        }
        End::Refused => assert_eq!(job["state"], "running", "{}: {job:#}", row.name),
    }
}

/// Every question about the job is answered, and its callbacks are there byte for byte.
async fn everything_can_be_read(world: &World, name: &str, id: JobId) {
    for path in ["", "/result", "/timeline", "/wait?timeout=1s"] {
        let answer = world.get(&format!("/v1/jobs/{id}{path}")).await;
        let no_result = path == "/result" && world.job(id).await["state"] == "failed";
        assert!(answer.status == 200 || (no_result && answer.status < 500), "{name}: {path}: {}", answer.status);
    }
    for callback in world.callbacks(&format!("job_id={id}")).await {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let own = format!("/v1/callbacks/{}", text(&callback["id"]));
        assert_eq!(world.get(&own).await.status, 200, "{name}");
        let raw = world.get(&text(&callback["links"]["raw"])).await;
        assert_eq!((raw.status, raw.body.len() as u64), (200, callback["body_bytes"].as_u64().unwrap_or(0)), "{name}");
        let checked = world.post(&format!("{own}/verify"), &Value::Null).await;
        assert_eq!(checked.json()["genuine"], true, "{name}: {:?}", checked.body);
    }
}

fn with_id(body: &[u8], id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut rest = body;
    while let Some(place) = rest.windows(2).position(|window| window == b"ID") {
        out.extend([&rest[..place], id.as_bytes()].concat());
        rest = &rest[place + 2..];
    }
    out.extend(rest);
    out
}
