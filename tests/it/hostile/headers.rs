//! F52, S06, S12: tricks with headers, methods and paths.

use super::{held, raw, raw::Call, rows_of, still, wait_rejected};
use bytes::Bytes;
use simulator::RequestView;
use std::collections::BTreeMap;
use testkit::{World, ok_body};

const ID: &str = "x-fal-webhook-request-id";
const USER: &str = "x-fal-webhook-user-id";
const STAMP: &str = "x-fal-webhook-timestamp";
const SIGNATURE: &str = "x-fal-webhook-signature";

/// What is changed in a genuine callback, and what becomes of it.
struct Row {
    name: String,
    call: Call,
    answer: u16,
    /// Under which cause it is kept; `None` where nothing is.
    cause: Option<&'static str>,
}

type Change = fn(&mut Call);

struct Table {
    genuine: Call,
    rows: Vec<Row>,
}

impl Table {
    fn row(&mut self, name: &str, answer: u16, cause: Option<&'static str>, change: impl FnOnce(&mut Call)) {
        let mut call = self.genuine.clone();
        change(&mut call);
        self.rows.push(Row { name: name.to_owned(), call, answer, cause });
    }

    /// A header with another value, which is not what fal sends.
    fn malformed(&mut self, header: &str, value: impl AsRef<[u8]>) {
        let name = format!("{header}: {}", value.as_ref().escape_ascii());
        self.row(&name, 400, Some("headers"), |call| call.set(header, value));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tricks_with_headers_change_nothing_and_are_kept_with_their_cause() {
    let world = still().start().await;
    let (id, request) = held(&world, "an owl").await;
    let genuine = Call::genuine(&world, &request, ok_body(&request.request_id, br#"{"seed": 1}"#));
    let mut table = Table { genuine, rows: Vec::new() };
    not_once_or_not_there(&mut table);
    signatures(&mut table);
    stamps(&mut table);
    ids(&mut table);
    signed_for_others(&mut table, &world, &request);
    media(&mut table);
    what_http_refuses(&mut table);

    let before = rows_of(&world, id).await;
    let mut expected = BTreeMap::new();
    for row in table.rows {
        let answer = row.call.send(&world.server().callbacks()).await;
        assert_eq!(answer, row.answer, "{}", row.name);
        if let Some(cause) = row.cause {
            *expected.entry(cause.to_owned()).or_insert(0) += 1;
        }
    }
    wait_rejected(&world, &expected).await;
    assert_eq!(rows_of(&world, id).await, before);

    world.sim().release_held();
    world.wait_ended_as(id, "succeeded").await;
    world.drain_and_check().await;
}

fn not_once_or_not_there(table: &mut Table) {
    for header in [ID, USER, STAMP, SIGNATURE] {
        table.row(&format!("no {header}"), 400, Some("headers"), |call| call.remove(header));
        table.row(&format!("empty {header}"), 400, Some("headers"), |call| call.set(header, ""));
        table.row(&format!("{header} twice"), 400, Some("headers"), |call| call.add(header, call.value(header)));
        table.row(&format!("{header} twice in one"), 400, Some("headers"), |call| {
            call.set(header, format!("{0}, {0}", call.value(header)));
        });
    }
    table.row("a good signature before a bad one", 400, Some("headers"), |call| call.add(SIGNATURE, "0".repeat(128)));
    table.row("a good signature after a bad one", 400, Some("headers"), |call| {
        let good = call.value(SIGNATURE);
        call.set(SIGNATURE, "0".repeat(128));
        call.add(SIGNATURE, good);
    });
    table.row("an id that is ours after another", 400, Some("headers"), |call| {
        let ours = call.value(ID);
        call.set(ID, "7-a");
        call.add(ID, ours);
    });
}

fn signatures(table: &mut Table) {
    let good = table.genuine.value(SIGNATURE);
    table.malformed(SIGNATURE, &good[1..]);
    table.malformed(SIGNATURE, format!("{good}0"));
    table.malformed(SIGNATURE, format!("0x{}", &good[2..]));
    table.malformed(SIGNATURE, format!("{} {}", &good[..64], &good[65..]));
    table.malformed(SIGNATURE, format!("{}\t{}", &good[..64], &good[65..]));
    table.malformed(SIGNATURE, format!("\"{good}\""));
    table.malformed(SIGNATURE, format!("v1,{good}"));
    table.malformed(SIGNATURE, good.to_uppercase());
    table.malformed(SIGNATURE, format!("{}\u{e9}", &good[..126]));
    let flipped = if good.starts_with('0') { "1" } else { "0" };
    for forged in [format!("{flipped}{}", &good[1..]), "0".repeat(128), "f".repeat(128)] {
        table.row(&format!("forged {forged}"), 401, Some("signature"), |call| call.set(SIGNATURE, forged));
    }
}

/// A stamp that was changed after it was signed is malformed or forged, never stale.
fn stamps(table: &mut Table) {
    let good = table.genuine.value(STAMP);
    for stamp in ["-1", "+1", "-0", "1.5", "1e9", "0x10", "soon", "9223372036854775808", "99999999999999999999"] {
        table.malformed(STAMP, stamp);
    }
    table.malformed(STAMP, format!("{good}Z"));
    table.malformed(STAMP, format!("{} {}", &good[..4], &good[4..]));
    table.malformed(STAMP, format!("0{good}"));
    for stamp in ["0".to_owned(), format!("{good}0"), i64::MAX.to_string()] {
        table.row(&format!("another stamp {stamp}"), 401, Some("signature"), |call| call.set(STAMP, stamp));
    }
}

fn ids(table: &mut Table) {
    for id in ["..", "../a", "a/b", "a b", "a.b", "a%2e", "a?b", "a#b", "\u{e9}", "{}", "' or 1=1 --"] {
        table.malformed(ID, id);
    }
    table.malformed(ID, "a".repeat(129));
    for user in ["a b", "\u{e9}", "a\tb"] {
        table.malformed(USER, user);
    }
    table.malformed(USER, "u".repeat(257));
    table.row("another id", 401, Some("signature"), |call| call.set(ID, "7-a"));
    table.row("another user", 401, Some("signature"), |call| call.set(USER, "user_them"));
}

/// Signed in earnest, and still not to be believed here.
fn signed_for_others(table: &mut Table, world: &World, request: &RequestView) {
    let (sim, body) = (world.sim(), &table.genuine.body.clone());
    let other = "00000000-0000-4000-8000-000000000000";
    let stamp: i64 = table.genuine.value(STAMP).parse().expect("a stamp is a number");
    let other_body = ok_body(other, b"{}");
    for (name, headers, body, answer, cause) in [
        ("the header's id is not the body's", sim.sign(other, body), body, 400, "headers"),
        ("the body's id is not the header's", sim.sign(&request.request_id, &other_body), &other_body, 400, "headers"),
        ("both ids are another's", sim.sign(other, &other_body), &other_body, 401, "wrong_request"),
        ("another user", sim.sign_as(&request.request_id, "user_them", stamp, body), body, 401, "wrong_user"),
        ("a stamp below zero", sim.sign_as(&request.request_id, sim.user_id(), -1, body), body, 400, "headers"),
    ] {
        let call = Call::signed(request, &headers, body.clone());
        table.rows.push(Row { name: name.to_owned(), call, answer, cause: Some(cause) });
    }
}

fn media(table: &mut Table) {
    for kind in ["text/html", "text/json", "application/json-seq", "multipart/form-data; boundary=a", "", "\u{e9}"] {
        table.row(kind, 415, Some("media_type"), |call| call.set("content-type", kind));
    }
    table.row("two kinds", 415, Some("media_type"), |call| call.add("content-type", "text/html"));
}

/// What does not even reach us: our HTTP server turns it away, and nothing is kept.
fn what_http_refuses(table: &mut Table) {
    table.row("65 headers", 431, None, |call| (0..65).for_each(|number| call.add(&format!("x-{number}"), "a")));
    table.row("17 kB of headers", 431, None, |call| call.add("x-long", "a".repeat(17 * 1024)));
    table.row("a folded header", 400, None, |call| call.add("x-folded", "a\r\n b"));
    table.row("a NUL in a value", 400, None, |call| call.add("x-nul", "a\0b"));
    table.row("a space before the colon", 400, None, |call| call.add("x-spaced ", "a"));
    table.row("a name with a bracket", 400, None, |call| call.add("x(", "a"));
    table.row("no name", 400, None, |call| call.add("", "a"));
    table.row("another length", 400, None, |call| call.add("content-length", "1"));
    table.row("a negative length", 400, None, |call| call.add("content-length", "-1"));
}

/// What says the same as the genuine one is the genuine one, however it is written; and a far stamp is stale, not an error
/// that makes fal come again.
#[tokio::test(flavor = "multi_thread")]
async fn harmless_spellings_are_taken_and_far_stamps_are_kept() {
    let world = still().start().await;
    let (id, request) = held(&world, "an owl").await;
    let body: Bytes = ok_body(&request.request_id, br#"{"seed": 1}"#);
    let url = world.server().callbacks();
    // Signed by hand, which the comparison with the truth must know; it says what a poll will say as well.
    for stamp in [0, 1, 253_402_300_800, 8_640_000_000_000, i64::MAX] {
        let headers = world.sim().sign_as(&request.request_id, world.sim().user_id(), stamp, &body);
        assert_eq!(Call::signed(&request, &headers, body.clone()).send(&url).await, 200, "{stamp}");
    }
    assert_eq!(world.callbacks("cause=stale_stamp").await.len(), 5);
    assert_eq!(world.job(id).await["state"], "running");

    assert_eq!(world.forge(&request, body.clone()).await, 200);
    world.wait_ended_as(id, "succeeded").await;
    let changes: [(&str, Change); 5] = [
        ("spaces around a value", |call| call.set(SIGNATURE, format!("  {}\t ", call.value(SIGNATURE)))),
        ("no content type", |call| call.remove("content-type")),
        ("a kind with a parameter", |call| call.set("content-type", "Application/JSON ; charset=utf-8")),
        ("a name in capitals", |call| {
            let user = call.value(USER);
            call.remove(USER);
            call.add("X-FAL-WEBHOOK-USER-ID", user);
        }),
        ("a query", |call| call.path.push_str("?a=1")),
    ];
    for (name, change) in changes {
        let mut call = Call::genuine(&world, &request, body.clone());
        change(&mut call);
        assert_eq!(call.send(&url).await, 200, "{name}");
    }
    assert_eq!(world.callbacks("disposition=applied").await.len(), 1);
    assert_eq!(world.callbacks("disposition=duplicate").await.len(), 5);
    world.drain_and_check().await;
}

/// S12: nothing but POST to the one path does anything, and no answer invites a browser.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_post_to_the_one_path_is_a_callback() {
    let world = still().start().await;
    let (id, request) = held(&world, "an owl").await;
    let genuine = Call::genuine(&world, &request, ok_body(&request.request_id, b"{}"));
    let path = genuine.path.clone();
    let nothing = [
        "/",
        "/hooks",
        "/hooks/fal",
        "/hooks/fal/",
        "/hook/fal/a",
        "/v1/jobs",
        "/metrics",
        "/readyz",
        "*",
        &format!("{path}/"),
        &format!("{path}/x"),
        &format!("/{path}"),
        &format!("/.{path}"),
        &path.to_uppercase(),
        &path.replace("/hooks/fal/", "/hooks/fal/../fal/"),
        &path.replace("/hooks/fal/", "/hooks%2Ffal%2F"),
        &format!("{path}x"),
        &path[..path.len() - 1],
        &format!("{path}%00"),
        "/hooks/fal/%ff",
        "/hooks/fal/....",
    ];
    let before = rows_of(&world, id).await;

    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "post", "POST"] {
        for path in nothing.iter().copied().chain([path.as_str(), "/healthz"]) {
            if method == "POST" && path == genuine.path {
                continue;
            }
            let mut call = Call { method: method.to_owned(), path: path.to_owned(), ..genuine.clone() };
            call.add("origin", "https://evil.example");
            call.add("cookie", "a=b");
            call.add("content-length", call.body.len().to_string());
            let answer =
                raw::exchange(&world.server().callbacks(), [call.head().as_slice(), &call.body].concat()).await;
            let healthy = path == "/healthz" && matches!(method, "GET" | "HEAD");
            let status = raw::status(&answer);
            assert!(
                if healthy { status == 200 } else { matches!(status, 400 | 404 | 405) },
                "{method} {path}: {status}"
            );
            let head = String::from_utf8_lossy(&answer).to_lowercase();
            for word in ["access-control", "set-cookie", "www-authenticate", "location", "server:"] {
                assert!(!head.contains(word), "{method} {path}: {head}");
            }
        }
    }

    assert_eq!(rows_of(&world, id).await, before);
    assert_eq!(world.callbacks("").await.len(), 0, "nothing of it was kept");
    world.sim().release_held();
    world.wait_ended_as(id, "succeeded").await;
    world.drain_and_check().await;
}
