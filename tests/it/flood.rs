//! Strangers at the callback listener: junk in floods, and sockets that are held open. `falconer bench flood` is the same
//! at full size.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use domain::TokenKeys;
use simulator::{RequestView, Script};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use testkit::{CALLBACK_SECRET, World, wait};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

const JUNK_PER_SECOND: usize = 2_000;
const JUNK_CONNECTIONS: usize = 8;
const SLOW_SOCKETS: usize = 500;
const FLOOD: Duration = Duration::from_secs(3);
/// What a flood may cost in resident memory.
const MEMORY_MAX: u64 = 64 << 20;

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
