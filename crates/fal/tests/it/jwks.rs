//! The key store: cold start, rotation, outage, poison and floods.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fal::jwks::{COOL_DOWN, KeyStore, REFRESH_AFTER, Refresh, USABLE_FOR, Verdict};

use crate::http;
use crate::keys::{BODY, pass, set_of, signed_by, x_of};
use crate::server::{Reply, Server, answer};

pub(crate) const NOW: i64 = 1_800_000_000;

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

pub(crate) fn store(server: &Server) -> KeyStore {
    KeyStore::new(http(), server.url.join("jwks.json").unwrap(), || NOW).unwrap()
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

/// F41, S03: sixteen keys of other kinds take no place; of the usable ones the seventeenth has none.
#[tokio::test]
async fn the_good_key_may_be_last_among_bad_ones_and_sixteenth_among_good_ones() {
    let bad = format!(r#"{{"kty":"RSA","x":"{}"}},"#, x_of(9)).repeat(16);
    let fal = Fal::start(Some(format!(r#"{{"keys":[{bad}{{"x":"{}"}}]}}"#, x_of(1)))).await;
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
