//! Strangers at the callback listener: junk in floods, and sockets that are held open. `falconer bench flood` is the same
//! at full size.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use domain::TokenKeys;
use simulator::{RequestView, Script, WebhookHeaders};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use testkit::{CALLBACK_SECRET, World, ok_body, wait};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

const JUNK_PER_SECOND: usize = 2_000;
const JUNK_CONNECTIONS: usize = 8;
const SLOW_SOCKETS: usize = 500;
const FLOOD: Duration = Duration::from_secs(3);
/// What a flood may cost in resident memory.
const MEMORY_MAX: u64 = 64 << 20;
/// Callbacks of one account for one attempt that are settled in a burst.
const CALLBACKS_AT_ONCE: usize = 64;
/// What all bodies of callbacks may take, beyond the first of each.
const BODIES_MAX: u64 = 256 << 20;
/// Bodies that begin and do not end: more than may be held.
const STALLED: usize = 60;
const STALLED_BYTES: usize = 7_900_000;
/// So many of them fit, where nothing is allocated ahead.
const STALLED_FIT: usize = 34;

/// F42, F53, T13.
#[tokio::test(flavor = "multi_thread")]
async fn junk_and_slow_sockets_keep_no_callback_out_and_cost_neither_memory_nor_statements() {
    let world = World::builder().slots(60).start().await;
    world.sim().script_prompt("held", Script { hold: true, ..Script::default() });
    let held = world.submit_many(50, "held owl").await;
    world.sim().wait_until(|view| view.counts.accepted >= 50).await.unwrap();
    // Keys are fetched and pools connected before anything is measured.
    let warm = world.submit_prompt("an owl").await;
    world.wait_ended_as(warm, "succeeded").await;
    let pid = world.server().pid().unwrap();
    let (before, quiet) = (resident(pid), transactions_in(&world, FLOOD).await);

    let flood = Flood::start(&world, not_found_junk()).await;
    let slow = SlowSockets::open(&world, SLOW_SOCKETS).await;
    let flooded = transactions_in(&world, FLOOD).await;
    // While it goes on, callbacks come in, and each is taken at its first try.
    world.sim().release_held();
    world.wait_all_succeeded(&held).await;
    let peak = resident(pid);
    let (served, statuses) = flood.stop().await;
    slow.close().await;

    let requests = world.sim().requests();
    let refused: Vec<&RequestView> =
        requests.iter().filter(|request| request.webhook_tries[0].status != Some(200)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    assert_eq!(statuses, [404], "junk is nothing");
    assert!(served > JUNK_PER_SECOND, "the flood was on: {served}");
    let grown = peak.saturating_sub(before);
    eprintln!("{served} junk calls: {} MB more, {flooded} transactions, {quiet} without", grown >> 20);
    assert!(grown < MEMORY_MAX, "{} MB more", grown >> 20);
    assert!(flooded < quiet + served / 20, "{flooded} transactions in a flood of {served}, {quiet} without");
    world.drain_and_check().await;
}

/// Whoever has seen a callback's URL has a good token, and no key to sign with.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_under_a_token_that_leaked_costs_a_line_and_a_statement_a_second() {
    let world = World::builder().start().await;
    world.sim().script_prompt("owl", Script { hold: true, ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
    let request = world.sent("an owl").await;
    // Keys are there, so that what they do not verify is forged.
    let warm = world.submit_prompt("something else").await;
    world.wait_ended_as(warm, "succeeded").await;
    let began = Instant::now();
    let quiet = transactions_in(&world, FLOOD).await;

    let flood = Flood::start(&world, unsigned_junk(&request)).await;
    let flooded = transactions_in(&world, FLOOD).await;
    let (served, statuses) = flood.stop().await;
    world.sim().release_held();
    world.wait_ended_as(id, "succeeded").await;

    assert_eq!(statuses, [401]);
    assert!(served > 200, "the flood was on: {served}");
    assert!(flooded < quiet + served / 20, "{flooded} transactions in a flood of {served}, {quiet} without");
    let lines = world.server().log().lines().filter(|line| line.contains("was rejected")).count();
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert!((1..=seconds).contains(&lines), "{lines} lines in {seconds} s");
    let query = "select count(*) from falconer.callbacks where disposition = 'rejected'";
    let kept: i64 = sqlx::query_scalar(query).fetch_one(world.db()).await.unwrap();
    assert!(kept > 0 && usize::try_from(kept).unwrap() <= 128 * (seconds + 1), "{kept} rows");
    world.drain_and_check().await;
}

/// Whoever has seen a callback's URL can have fal sign for an account of their own, and send that again and again.
#[tokio::test(flavor = "multi_thread")]
async fn what_fal_signed_for_another_account_keeps_no_callback_out_and_fills_nothing() {
    let world = World::builder().start().await;
    world.sim().script_prompt("owl", Script { hold: true, ..Script::default() });
    let id = world.submit_prompt("an owl").await;
    world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
    let request = world.sent("an owl").await;
    let warm = world.submit_prompt("something else").await;
    world.wait_ended_as(warm, "succeeded").await;
    let began = Instant::now();
    let quiet = transactions_in(&world, FLOOD).await;

    let flood = Flood::start(&world, signed_for_another(&world, &request)).await;
    let flooded = transactions_in(&world, FLOOD).await;
    world.sim().release_held();
    world.wait_ended_as(id, "succeeded").await;
    let (served, statuses) = flood.stop().await;

    assert_eq!(statuses, [401, 503], "some are judged, the rest are not");
    assert!(served > 200, "the flood was on: {served}");
    assert!(flooded < quiet + 2 * CALLBACKS_AT_ONCE, "{flooded} transactions in a flood of {served}, {quiet} without");
    let tries = world.sim().request(&request.request_id).unwrap().webhook_tries;
    assert_eq!(tries[0].status, Some(200), "ours came in at its first try");
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    let lines = world.server().log().lines().filter(|line| line.contains("was rejected")).count();
    assert!((1..=seconds).contains(&lines), "{lines} lines in {seconds} s");
    let rejected = "select count(*) from falconer.callbacks where disposition = 'rejected' and cause = 'wrong_user'";
    let kept: i64 = sqlx::query_scalar(rejected).fetch_one(world.db()).await.unwrap();
    assert!((1..=CALLBACKS_AT_ONCE + seconds / 10).contains(&usize::try_from(kept).unwrap()), "{kept} rows");
    world.drain_and_check().await;
}

/// Each connection may hold a body of 8 MB, and there may be 2,048 of them.
#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_that_stall_are_bounded_together_and_keep_no_small_callback_out() {
    let world = World::builder().start().await;
    world.sim().script_prompt("owl", Script { hold: true, ..Script::default() });
    let (small, large) = (world.submit_prompt("a small owl").await, world.submit_prompt("a large owl").await);
    for id in [small, large] {
        world.wait_job(id, "to be sent", |job| job["request_id"].is_string()).await;
    }
    let (to_small, to_large) = (world.sent("a small owl").await, world.sent("a large owl").await);
    let warm = world.submit_prompt("something else").await;
    world.wait_ended_as(warm, "succeeded").await;
    let pid = world.server().pid().unwrap();
    let before = resident(pid);

    let stalled = Stalled::open(&world, &to_small).await;
    let grown = resident(pid).saturating_sub(before);
    eprintln!("{STALLED} bodies of {STALLED_BYTES} bytes: {} MB more", grown >> 20);
    assert!(grown < BODIES_MAX + MEMORY_MAX, "{} MB more", grown >> 20);
    let body = ok_body(&to_small.request_id, br#"{"images": []}"#);
    assert_eq!(world.forge(&to_small, body).await, 200, "a small one is taken at its first try");
    world.wait_ended_as(small, "succeeded").await;

    stalled.close().await;
    let body = ok_body(&to_large.request_id, format!(r#"{{"images": "{}"}}"#, "a".repeat(4 << 20)).as_bytes());
    wait::until("the room to be free again", async || match world.forge(&to_large, body.clone()).await {
        200 => Ok(()),
        status => Err(status),
    })
    .await;
    world.wait_ended_as(large, "succeeded").await;
    world.sim().release_held();
    world.drain_and_check().await;
}

/// A callback that fal signed a moment ago, for somebody else.
fn signed_for_another(world: &World, request: &RequestView) -> Vec<u8> {
    let body = ok_body(&request.request_id, br#"{"images": []}"#);
    let stamp = world.sim().sign(&request.request_id, &body).timestamp.parse().unwrap();
    let signed: WebhookHeaders = world.sim().sign_as(&request.request_id, "user_theirs", stamp, &body);
    let headers = signed.pairs().map(|(name, value)| format!("{name}: {value}\r\n")).concat();
    let url: reqwest::Url = request.webhook_url.as_deref().unwrap().parse().unwrap();
    let (path, length) = (url.path(), body.len());
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{headers}content-length: {length}\r\n\r\n");
    [head.as_bytes(), &body].concat()
}

/// Callbacks to URLs that nobody made: the MAC of their tokens is wrong.
fn not_found_junk() -> Vec<u8> {
    let other = TokenKeys::derive("another installation's secret or a guess at ours").unwrap();
    let token = other.sign(domain::CredentialId::DEFAULT, domain::AttemptId(uuid::Uuid::from_u128(7)));
    post(&format!("/hooks/fal/{token}"), "7-a")
}

/// Callbacks to a URL that we made, signed by nobody.
fn unsigned_junk(request: &RequestView) -> Vec<u8> {
    let url: reqwest::Url = request.webhook_url.as_deref().unwrap().parse().unwrap();
    assert!(TokenKeys::derive(CALLBACK_SECRET).unwrap().verify(url.path().rsplit('/').next().unwrap()).is_some());
    post(url.path(), &request.request_id)
}

fn post(path: &str, request_id: &str) -> Vec<u8> {
    let (body, signature) = (r#"{"status":"OK"}"#, "0a".repeat(64));
    format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nx-fal-webhook-request-id: {request_id}\r\n\
         x-fal-webhook-user-id: user\r\nx-fal-webhook-timestamp: 1700000000\r\nx-fal-webhook-signature: {signature}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Junk at a steady rate that waits for nobody, over kept connections.
struct Flood {
    stop: Arc<AtomicBool>,
    senders: JoinSet<Vec<u16>>,
}

impl Flood {
    async fn start(world: &World, junk: Vec<u8>) -> Self {
        let (stop, junk, served) = (Arc::new(AtomicBool::new(false)), Arc::new(junk), Arc::new(AtomicUsize::new(0)));
        let mut senders = JoinSet::new();
        for _ in 0..JUNK_CONNECTIONS {
            let stream = TcpStream::connect(callbacks(world)).await.unwrap();
            senders.spawn(send_junk(stream, Arc::clone(&junk), Arc::clone(&stop), Arc::clone(&served)));
        }
        wait::until("the flood to begin", async || match served.load(Ordering::Relaxed) {
            0 => Err("nothing was answered"),
            _ => Ok(()),
        })
        .await;
        Self { stop, senders }
    }

    /// Returns how many calls were answered, and with which statuses.
    async fn stop(self) -> (usize, Vec<u16>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut statuses = self.senders.join_all().await.concat();
        let served = statuses.len();
        statuses.sort_unstable();
        statuses.dedup();
        (served, statuses)
    }
}

async fn send_junk(
    mut stream: TcpStream,
    junk: Arc<Vec<u8>>,
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
) -> Vec<u16> {
    let mut beat = tokio::time::interval(
        Duration::from_secs(1) * u32::try_from(JUNK_CONNECTIONS).unwrap() / u32::try_from(JUNK_PER_SECOND).unwrap(),
    );
    let mut statuses = Vec::new();
    let mut read = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        beat.tick().await;
        stream.write_all(&junk).await.unwrap();
        // An answer to junk is a head without a body, and fits into one read.
        let count = stream.read(&mut read).await.unwrap();
        let status = std::str::from_utf8(&read[9..12.min(count.max(9))]).unwrap().parse().expect("an answer");
        statuses.push(status);
        served.fetch_add(1, Ordering::Relaxed);
    }
    statuses
}

/// Sockets that send the headers of one request, a byte at a time, and never finish.
struct SlowSockets {
    stop: Arc<AtomicBool>,
    senders: JoinSet<()>,
}

impl SlowSockets {
    async fn open(world: &World, count: usize) -> Self {
        let (stop, addr) = (Arc::new(AtomicBool::new(false)), callbacks(world));
        let mut senders = JoinSet::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            let stop = Arc::clone(&stop);
            senders.spawn(async move {
                let mut beat = tokio::time::interval(Duration::from_millis(200));
                while !stop.load(Ordering::Relaxed) && stream.write_all(b"x").await.is_ok() {
                    beat.tick().await;
                }
            });
        }
        Self { stop, senders }
    }

    async fn close(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.senders.join_all().await;
    }
}

/// Large bodies under a good token that stop short of their end.
struct Stalled {
    stop: CancellationToken,
    senders: JoinSet<()>,
}

impl Stalled {
    /// Returns when all that do not fit were refused. Neither the signature nor the time to send decides it.
    async fn open(world: &World, request: &RequestView) -> Self {
        let url: reqwest::Url = request.webhook_url.as_deref().unwrap().parse().unwrap();
        let head = String::from_utf8(post(url.path(), &request.request_id)).unwrap();
        let (head, _) = head.rsplit_once("content-length").unwrap();
        let call =
            [format!("{head}content-length: {}\r\n\r\n", STALLED_BYTES + 1).into_bytes(), vec![b' '; STALLED_BYTES]];
        let (call, refused) = (Arc::new(call.concat()), Arc::new(AtomicUsize::new(0)));
        let (stop, mut senders) = (CancellationToken::new(), JoinSet::new());
        for _ in 0..STALLED {
            let stream = TcpStream::connect(callbacks(world)).await.unwrap();
            let (call, refused, stop) = (Arc::clone(&call), Arc::clone(&refused), stop.clone());
            senders.spawn(async move {
                if stop.run_until_cancelled(is_refused(stream, &call)).await == Some(true) {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait::until("those who do not fit to be refused", async || match refused.load(Ordering::Relaxed) {
            refused if refused < STALLED - STALLED_FIT => Err(refused),
            _ => Ok(()),
        })
        .await;
        Self { stop, senders }
    }

    async fn close(self) {
        self.stop.cancel();
        self.senders.join_all().await;
    }
}

/// Whether the server would not have the body. It hangs up on one that is under way, which may lose the answer.
async fn is_refused(mut stream: TcpStream, call: &[u8]) -> bool {
    let written = stream.write_all(call).await;
    let mut read = [0; 4096];
    match stream.read(&mut read).await {
        Ok(count) if count > 12 => &read[9..12] == b"503",
        _ => written.is_err(),
    }
}

fn callbacks(world: &World) -> SocketAddr {
    world.server().callbacks().strip_prefix("http://").unwrap().parse().unwrap()
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// Transactions in the world's database within `time`, those of the server's own loops among them. Backends report
/// theirs once a second, which the comparison of two equal times leaves out.
async fn transactions_in(world: &World, time: Duration) -> usize {
    let count = async || {
        let query = "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()";
        let count: i64 = sqlx::query_scalar(query).fetch_one(world.db()).await.unwrap();
        usize::try_from(count).unwrap()
    };
    let before = count().await;
    wait::let_pass(time).await;
    count().await - before
}
