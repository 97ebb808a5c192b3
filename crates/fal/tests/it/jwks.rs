//! The key store: cold start, rotation, outage, poison and floods.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use fal::callback::{CallbackHeaders, signed_message};
use fal::jwks::{COOL_DOWN, KeyStore, REFRESH_AFTER, Refresh, USABLE_FOR, Verdict};

use crate::http;
use crate::server::{MakeReply, Reply, Server, answer, head};

const BODY: &[u8] = b"{\"request_id\":\"7-a\",\"status\":\"OK\"}";
const NOW: i64 = 1_800_000_000;

/// A key server whose set can be changed, or taken away.
struct Fal {
    server: Server,
    set: Arc<Mutex<Option<String>>>,
    store: KeyStore,
}

impl Fal {
    async fn start(set: Option<String>) -> Self {
        let set = Arc::new(Mutex::new(set));
        let current = Arc::clone(&set);
        let server = Server::start(move |_| match current.lock().unwrap().as_ref() {
            Some(set) => answer(200, &[], set),
            None => answer(503, &[], "down"),
        })
        .await;
        let store = store(&server);
        Self { server, set, store }
    }

    fn serve(&self, set: Option<String>) {
        *self.set.lock().unwrap() = set;
    }

    fn fetches(&self) -> usize {
        self.server.seen().len()
    }

    async fn check(&self, key: u8) -> Verdict {
        self.store.check(&signed_by(key), BODY).await
    }
}

fn store(server: &Server) -> KeyStore {
    KeyStore::new(http(), server.url.join("jwks.json").unwrap(), || NOW).unwrap()
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn set_of(numbers: &[u8]) -> String {
    let x = |number: &u8| URL_SAFE_NO_PAD.encode(key(*number).verifying_key().as_bytes());
    let keys: Vec<String> = numbers.iter().map(|number| format!(r#"{{"x":"{}"}}"#, x(number))).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn signed_by(number: u8) -> CallbackHeaders {
    let signature = key(number).sign(&signed_message("7-a", "user", "1700000000", BODY));
    let mut map = http::HeaderMap::new();
    for (name, value) in [("request-id", "7-a"), ("user-id", "user"), ("timestamp", "1700000000")] {
        map.insert(http::HeaderName::try_from(format!("x-fal-webhook-{name}")).unwrap(), value.parse().unwrap());
    }
    map.insert("x-fal-webhook-signature", hex::encode(signature.to_bytes()).parse().unwrap());
    CallbackHeaders::from(&map).unwrap()
}

/// Moves the monotonic clock without letting it run ahead of the sockets.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_first_callback_fetches_the_keys_and_later_ones_do_not() {
    let fal = Fal::start(Some(set_of(&[1]))).await;
    assert_eq!(fal.check(1).await, Verdict::Genuine);
    assert_eq!(fal.check(1).await, Verdict::Genuine);
    assert_eq!(fal.fetches(), 1);
    assert!(!fal.server.seen()[0].headers.contains_key("authorization"));
}

/// F39, S09: never 401 and never accept while the keys are not to be had.
#[tokio::test]
async fn without_keys_nothing_can_be_checked() {
    let fal = Fal::start(None).await;
    for _ in 0..5 {
        assert_eq!(fal.check(1).await, Verdict::CannotCheck);
    }
    assert_eq!(fal.fetches(), 1, "the cool-down holds");
    fal.serve(Some(set_of(&[1])));
    pass(COOL_DOWN).await;
    assert_eq!(fal.check(1).await, Verdict::Genuine);
}

#[tokio::test]
async fn a_persisted_set_serves_while_fal_is_down_until_it_is_a_week_old() {
    let week = i64::try_from(USABLE_FOR.as_secs()).unwrap();
    for (age, expected) in [(0, Verdict::Genuine), (week - 60, Verdict::Genuine), (week + 1, Verdict::CannotCheck)] {
        let fal = Fal::start(None).await;
        fal.store.load_persisted(set_of(&[1]).as_bytes(), NOW - age).unwrap();
        assert_eq!(fal.check(1).await, expected, "{age}");
    }
    let fal = Fal::start(None).await;
    fal.store.load_persisted(set_of(&[1]).as_bytes(), NOW - week + 60).unwrap();
    pass(Duration::from_secs(61)).await;
    assert_eq!(fal.check(1).await, Verdict::CannotCheck, "a set also ages in memory");
}

#[tokio::test]
async fn an_older_persisted_set_does_not_replace_a_younger_one() {
    let fal = Fal::start(Some(set_of(&[2]))).await;
    assert_eq!(fal.store.refresh().await, Refresh::Fresh);
    fal.store.load_persisted(set_of(&[1]).as_bytes(), NOW - 10).unwrap();
    assert_eq!(fal.check(2).await, Verdict::Genuine);
    assert_eq!(fal.check(1).await, Verdict::Forged);
    assert!(fal.store.load_persisted(b"<html>", NOW).is_err());
}

/// F40.
#[tokio::test]
async fn a_rotation_is_noticed_by_the_first_callback_under_the_new_key() {
    let fal = Fal::start(Some(set_of(&[1]))).await;
    assert_eq!(fal.check(1).await, Verdict::Genuine);
    fal.serve(Some(set_of(&[1, 2])));
    pass(COOL_DOWN).await;
    assert_eq!(fal.check(2).await, Verdict::Genuine);
    assert_eq!(fal.check(1).await, Verdict::Genuine, "both keys hold in the overlap");
    fal.serve(Some(set_of(&[2])));
    pass(COOL_DOWN).await;
    assert_eq!(fal.check(3).await, Verdict::Forged);
    assert_eq!(fal.check(1).await, Verdict::Forged, "a key that fal took back signs nothing");
    assert_eq!(fal.fetches(), 3);
}

#[tokio::test]
async fn an_unknown_key_while_fal_is_down_is_not_called_forged() {
    let fal = Fal::start(Some(set_of(&[1]))).await;
    assert_eq!(fal.check(1).await, Verdict::Genuine);
    fal.serve(None);
    pass(COOL_DOWN).await;
    assert_eq!(fal.check(2).await, Verdict::CannotCheck);
    assert_eq!(fal.check(1).await, Verdict::Genuine, "the kept keys still verify");
    fal.serve(Some(set_of(&[2])));
    pass(COOL_DOWN).await;
    assert_eq!(fal.check(2).await, Verdict::Genuine);
}

#[tokio::test]
async fn a_flood_of_forgeries_costs_one_fetch_per_cool_down() {
    let fal = Fal::start(Some(set_of(&[1]))).await;
    let checks = (0..64).map(|_| {
        let store = fal.store.clone();
        tokio::spawn(async move { store.check(&signed_by(9), BODY).await })
    });
    for check in checks.collect::<Vec<_>>() {
        assert_eq!(check.await.unwrap(), Verdict::Forged);
    }
    assert_eq!(fal.fetches(), 1);
    pass(COOL_DOWN).await;
    assert_eq!(fal.check(9).await, Verdict::Forged);
    assert_eq!(fal.fetches(), 2);
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_fetch_and_its_keys() {
    let fal = Fal::start(Some(set_of(&[1]))).await;
    let checks: Vec<_> = (0..64)
        .map(|_| {
            let store = fal.store.clone();
            tokio::spawn(async move { store.check(&signed_by(1), BODY).await })
        })
        .collect();
    for check in checks {
        assert_eq!(check.await.unwrap(), Verdict::Genuine);
    }
    assert_eq!(fal.fetches(), 1);
}

#[tokio::test]
async fn a_fetch_goes_on_when_its_caller_leaves() {
    let fal = Fal::start(Some(set_of(&[1]))).await;
    let mut fresh = fal.store.fresh_sets();
    {
        let mut refresh = std::pin::pin!(fal.store.refresh());
        let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(refresh.as_mut().poll(cx)));
        assert!(poll.await.is_pending());
    }
    fresh.changed().await.unwrap();
    assert!(fal.store.age().is_some());
}

#[tokio::test]
async fn old_keys_are_renewed_without_a_wait_and_the_new_set_is_given_out() {
    let fal = Fal::start(Some(set_of(&[2]))).await;
    let mut fresh = fal.store.fresh_sets();
    let day = i64::try_from(REFRESH_AFTER.as_secs()).unwrap();
    fal.store.load_persisted(set_of(&[1]).as_bytes(), NOW - day - 1).unwrap();
    assert_eq!(fal.check(1).await, Verdict::Genuine, "the kept key answers at once");
    fresh.changed().await.unwrap();
    let given = fresh.borrow().clone().unwrap();
    assert_eq!((given.bytes.as_ref(), given.fetched_unix), (set_of(&[2]).as_bytes(), NOW));
    assert_eq!(fal.check(1).await, Verdict::Forged);
    assert_eq!(fal.check(2).await, Verdict::Genuine);
}

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
    let x = URL_SAFE_NO_PAD.encode(key(9).verifying_key().as_bytes());
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

/// F41, S03: sixteen keys of other kinds take no place; of the usable ones the seventeenth has none.
#[tokio::test]
async fn the_good_key_may_be_last_among_bad_ones_and_sixteenth_among_good_ones() {
    let x = |number: u8| URL_SAFE_NO_PAD.encode(key(number).verifying_key().as_bytes());
    let bad = format!(r#"{{"kty":"RSA","x":"{}"}},"#, x(9)).repeat(16);
    let fal = Fal::start(Some(format!(r#"{{"keys":[{bad}{{"x":"{}"}}]}}"#, x(1)))).await;
    assert_eq!(fal.check(1).await, Verdict::Genuine);
    let seventeen: Vec<u8> = (11..=27).collect();
    let fal = Fal::start(Some(set_of(&seventeen))).await;
    assert_eq!(fal.check(26).await, Verdict::Genuine);
    assert_eq!(fal.check(27).await, Verdict::Forged);
}

#[tokio::test]
async fn a_key_server_that_hangs_is_given_up_after_five_seconds() {
    let server = Server::start(|_| Reply::Hold(Vec::new())).await;
    let store = store(&server);
    let began = tokio::time::Instant::now();
    assert_eq!(store.check(&signed_by(1), BODY).await, Verdict::CannotCheck);
    assert!((5..8).contains(&began.elapsed().as_secs()));
}

#[tokio::test]
async fn keys_come_over_https_or_from_this_machine() {
    for (url, good) in [
        ("https://rest.fal.ai/.well-known/jwks.json", true),
        ("http://127.0.0.1:1/x", true),
        ("http://rest.fal.ai/x", false),
    ] {
        assert_eq!(KeyStore::new(http(), url.parse().unwrap(), || NOW).is_ok(), good, "{url}");
    }
}
