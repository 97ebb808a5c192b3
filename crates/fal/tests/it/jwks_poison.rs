//! What fal's host may send instead of keys.

use crate::jwks::{NOW, store};
use crate::keys::{BODY, set_of, signed_by, x_of};
use crate::server::{MakeReply, Reply, Server, answer, head};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fal::jwks::{Refresh, Verdict};

/// F41, the table: whatever fal's host sends instead of keys, the kept ones stay. In each row key 9 stands in a way that
/// must not count.
#[tokio::test]
async fn a_poisoned_answer_leaves_the_kept_keys() {
    let canary = Server::start(|_| answer(200, &[], &set_of(&[9]))).await;
    for (what, reply) in poisons(canary.url.as_str()) {
        let server = Server::start(move |_| reply()).await;
        let store = store(&server);
        store.load_persisted(set_of(&[1]).as_bytes(), NOW).unwrap();
        assert_eq!(store.refresh().await, Refresh::Failed, "{what}");
        assert_eq!(store.check(&signed_by(1), BODY).await, Verdict::Genuine, "{what}");
        assert_eq!(store.check(&signed_by(9), BODY).await, Verdict::CannotCheck, "{what}");
        assert!(store.fresh_sets().borrow().is_none(), "{what}: nothing is given out to be kept");
        assert_eq!(server.seen().len(), 1, "{what}: one fetch in a cool-down");
    }
    assert!(canary.seen().is_empty(), "no redirect is followed");
}

fn poisons(elsewhere: &str) -> Vec<(String, MakeReply)> {
    let good = set_of(&[9]);
    let x = x_of(9);
    let with = |key: &str| format!(r#"{{"keys":[{key}]}}"#);
    let weak = |bytes: [u8; 32]| with(&format!(r#"{{"x":"{}"}}"#, URL_SAFE_NO_PAD.encode(bytes)));
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut rows: Vec<(String, MakeReply)> = Vec::new();
    for (what, body) in [
        ("an empty set", with("")),
        ("no body", String::new()),
        ("a page", format!("<!doctype html><!-- {good} -->")),
        ("a list", format!("[{good}]")),
        ("no keys", r#"{"error":"try again"}"#.to_owned()),
        ("keys that are null", r#"{"keys":null}"#.to_owned()),
        ("keys twice", format!(r#"{{"keys":[],"keys":[{{"x":"{x}"}}]}}"#)),
        ("another kind", with(&format!(r#"{{"kty":"RSA","crv":"Ed25519","x":"{x}"}}"#))),
        ("another curve", with(&format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x}"}}"#))),
        ("31 bytes", with(&format!(r#"{{"x":"{}"}}"#, URL_SAFE_NO_PAD.encode([9; 31])))),
        ("a digit too few", with(&format!(r#"{{"x":"{}"}}"#, &x[1..]))),
        ("a space in x", with(&format!(r#"{{"x":"{x} "}}"#))),
        ("the identity", weak(identity)),
        ("a point of order 4", weak([0; 32])),
        ("10,000 keys", set_of(&[9; 10_000])),
        ("a byte too many", format!("{}{good}", " ".repeat(64 * 1024 + 1 - good.len()))),
        ("cut off", good[..good.len() - 1].to_owned()),
        ("something behind it", format!("{good}{good}")),
        ("a byte-order mark", format!("\u{feff}{good}")),
        ("a deep one", format!(r#"{{"keys":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000))),
    ] {
        rows.push((what.to_owned(), Box::new(move || answer(200, &[], &body))));
    }
    for status in [201, 203, 204, 206, 300, 400, 401, 403, 404, 429, 500, 503] {
        let body = good.clone();
        rows.push((format!("status {status}"), Box::new(move || answer(status, &[], &body))));
    }
    for status in [301, 302, 303, 307, 308] {
        let (body, target) = (good.clone(), elsewhere.to_owned());
        let reply = move || answer(status, &[("location", &target)], &body);
        rows.push((format!("a redirect, {status}"), Box::new(reply)));
    }
    let (longer, packed) = (good.clone(), good.clone());
    rows.push(("50 MB by its length".to_owned(), Box::new(|| Reply::Hold(head(200, &[], Some(50 << 20))))));
    rows.push(("no end".to_owned(), Box::new(|| Reply::Endless(head(200, &[], None), vec![b' '; 64 * 1024]))));
    let short = move || Reply::Close([head(200, &[], Some(longer.len() + 1)).as_slice(), longer.as_bytes()].concat());
    rows.push(("shorter than it says".to_owned(), Box::new(short)));
    // Not unpacked, so what it says cannot be read.
    let gzip = move || answer(200, &[("content-encoding", "gzip")], &format!("\u{1f}\u{8b}{packed}"));
    rows.push(("packed".to_owned(), Box::new(gzip)));
    rows
}
