//! F39, F40, T9: fal's keys are away for ten minutes, and are rotated meanwhile. The clock is moved; the sockets are real.

use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fal::jwks::{COOL_DOWN, KeyStore, Verdict};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::http;
use crate::keys::{BODY, pass, set_of, signed_by};
use crate::server::{Reply, Server, answer};

const TICK: Duration = Duration::from_millis(500);
const OUTAGE: Duration = Duration::from_mins(10);
/// When fal starts to sign with its new key.
const ROTATION: Duration = Duration::from_mins(4);
/// When its key host stops answering at all; before, it answered 503.
const HANG: Duration = Duration::from_mins(6);
/// fal's first try times out after so long.
const FALS_PATIENCE: Duration = Duration::from_secs(15);

const OLD: u8 = 1;
const NEW: u8 = 2;
const FORGER: u8 = 9;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Up(&'static [u8]),
    Fails,
    Hangs,
}

/// A callback on its way, ordered by when it is sent next, soonest first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Callback {
    at: Duration,
    number: usize,
    key: u8,
    tries: u32,
}

#[derive(Debug, Default)]
struct Seen {
    genuine: usize,
    put_off: usize,
    forgeries: usize,
    longest_answer: Duration,
    /// Callbacks of fal's that are on their way.
    open: usize,
}

#[tokio::test]
async fn ten_minutes_without_keys_and_a_rotation_lose_nothing_and_cost_a_fetch_in_thirty_seconds() {
    let began = Instant::now();
    let mode = Arc::new(Mutex::new(Mode::Up(&[OLD])));
    let fetches: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let (current, log) = (Arc::clone(&mode), Arc::clone(&fetches));
    let server = Server::start(move |_| {
        log.lock().unwrap().push(began.elapsed());
        match *current.lock().unwrap() {
            Mode::Up(keys) => answer(200, &[], &set_of(keys)),
            Mode::Fails => answer(503, &[], "down"),
            Mode::Hangs => Reply::Hold(Vec::new()),
        }
    })
    .await;
    let store = KeyStore::new(http(), server.url.join("jwks.json").unwrap(), || 1_800_000_000).unwrap();
    assert_eq!(store.check(&signed_by(OLD), BODY).await, Verdict::Genuine);
    pass(COOL_DOWN).await;

    let start = began.elapsed();
    let (mut line, mut seen, mut number) = (BinaryHeap::new(), Seen::default(), 0);
    loop {
        let now = began.elapsed().checked_sub(start).unwrap();
        if now >= OUTAGE && seen.open == 0 {
            break;
        }
        assert!(now < 2 * OUTAGE, "{seen:#?}");
        *mode.lock().unwrap() = match now {
            now if now >= OUTAGE => Mode::Up(&[NEW]),
            now if now >= HANG => Mode::Hangs,
            _ => Mode::Fails,
        };
        if now < OUTAGE {
            let key = if now < ROTATION { OLD } else { NEW };
            for key in [key, key, FORGER] {
                number += 1;
                seen.open += usize::from(key != FORGER);
                line.push(Callback { at: now, number, key, tries: 0 });
            }
        }
        let mut due = Vec::new();
        while line.peek().is_some_and(|callback: &Callback| callback.at <= now) {
            due.extend(line.pop());
        }
        deliver(&store, due, &mut line, &mut seen, start, began).await;
        pass(TICK).await;
    }

    let fetches: Vec<Duration> = fetches.lock().unwrap().clone();
    let closest = fetches.windows(2).map(|pair| pair[1].checked_sub(pair[0]).unwrap()).min().unwrap();
    eprintln!(
        "10 min without keys: {} callbacks verified, {} answers put off, {} forgeries refused, {} fetches, at least \
         {closest:?} apart; longest answer {:?}",
        seen.genuine,
        seen.put_off,
        seen.forgeries,
        fetches.len(),
        seen.longest_answer,
    );
    assert!(seen.genuine > 1_500 && seen.put_off > 1_000 && seen.forgeries > 700, "the story was told: {seen:#?}");
    assert!(seen.longest_answer < FALS_PATIENCE, "{:?}", seen.longest_answer);
    // The server notes a fetch a moment after it began.
    assert!(closest + Duration::from_millis(200) >= COOL_DOWN, "{fetches:?}");
    assert!((18..=24).contains(&fetches.len()), "{}: {fetches:?}", fetches.len());
}

/// Checks the callbacks that are due, and puts back what fal sends again.
async fn deliver(
    store: &KeyStore,
    due: Vec<Callback>,
    line: &mut BinaryHeap<Callback>,
    seen: &mut Seen,
    start: Duration,
    began: Instant,
) {
    let mut checks = JoinSet::new();
    for callback in due {
        let store = store.clone();
        checks.spawn(async move {
            let sent = Instant::now();
            let verdict = store.check(&signed_by(callback.key), BODY).await;
            (callback, verdict, sent.elapsed())
        });
    }
    loop {
        // Where fal's host hangs, only time brings the answer.
        let checked = match tokio::time::timeout(Duration::from_millis(50), checks.join_next()).await {
            Ok(None) => return,
            Ok(Some(checked)) => checked.unwrap(),
            Err(_) => {
                pass(TICK).await;
                continue;
            }
        };
        let (callback, verdict, took) = checked;
        seen.longest_answer = seen.longest_answer.max(took);
        match (callback.key, verdict) {
            (FORGER, Verdict::Genuine) => panic!("a forgery was taken"),
            (FORGER, _) => seen.forgeries += 1,
            (_, Verdict::Forged) => panic!("fal was called a forger: {callback:?}"),
            (_, Verdict::Genuine) => {
                seen.genuine += 1;
                seen.open -= 1;
            }
            (_, Verdict::CannotCheck) => {
                seen.put_off += 1;
                // Doubling, as retries of ten tries over two hours do; it never reaches them here.
                let wait = Duration::from_secs(5) * 2_u32.pow(callback.tries.min(5));
                let at = began.elapsed().checked_sub(start).unwrap() + wait;
                line.push(Callback { at, tries: callback.tries + 1, ..callback });
            }
        }
    }
}

impl Ord for Callback {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Callback {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
