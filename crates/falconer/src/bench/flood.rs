//! Strangers at the callback listener: genuine callbacks at a steady rate, alone, beside floods of junk, and beside sockets
//! that are held open. The junk is made in this process, so what it costs to make is missing from what it could do.

use super::{
    Options, backlog,
    meter::{Moment, resident_bytes},
    report::Figure,
    site::{Round, SECRET, Server, ServerOptions, free_addr},
    stub,
    wire::{self, Connection},
};
use anyhow::{Context, Result};
use domain::{AttemptId, CredentialId, TokenKeys};
use simulator::{Simulator, SimulatorConfig};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet, time::Instant};

/// Genuine callbacks a second: what 400 slots with runs of 2 s would bring.
const GENUINE_PER_SECOND: usize = 200;
const GENUINE_CONNECTIONS: usize = 16;
/// Offered, whether they are answered or not.
const BAD_TOKENS_PER_SECOND: usize = 20_000;
/// Each costs a verification under every key.
const BAD_SIGNATURES_PER_SECOND: usize = 5_000;
const JUNK_CONNECTIONS: usize = 64;
const SLOW_SOCKETS: usize = 2_000;
/// Header bytes that a slow socket sends at once, so that it costs what it can.
const SLOW_BYTES: usize = 12 * 1024;
/// Between two bytes of a slow socket after that.
const SLOW_BEAT: Duration = Duration::from_millis(500);
/// Between two looks at the server's memory.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const BODY: &[u8] = br#"{"status":"OK"}"#;

/// Measures genuine callbacks alone, under two kinds of junk, and beside slow sockets and junk together.
pub(super) async fn run(options: &Options, round: &Round) -> Result<Vec<Figure>> {
    let count = options.seconds * GENUINE_PER_SECOND;
    let fal = Simulator::start(SimulatorConfig::default()).await?;
    round.pin(&fal, 100_000).await?;
    let attempts = backlog::submitted(&round.store, 4 * count + 101).await?;
    let tokens = TokenKeys::derive(SECRET)?;
    let path = |attempt: AttemptId| format!("/hooks/fal/{}", tokens.sign(CredentialId::DEFAULT, attempt));
    let good = |(attempt, id): &(AttemptId, String)| {
        stub::signed(&fal, &path(*attempt), id, stub::callback_body(id).as_bytes())
    };
    let server = round
        .serve(ServerOptions {
            roles: "receiver",
            slots: 100_000,
            queue_url: fal.queue_url(),
            fal: &fal,
            callback_addr: free_addr().await?,
        })
        .await?;
    let (warm, rest) = attempts.split_at(100);
    let (victim, rest) = rest.split_first().context("there is a victim")?;
    wire::drive(server.callbacks, warm.iter().map(good).collect(), options.connections).await?;

    let strange = TokenKeys::derive("the secret of another installation or a guess at ours")?;
    let bad_token = format!("/hooks/fal/{}", strange.sign(CredentialId::DEFAULT, victim.0));
    let bad_token = wire::post(&bad_token, &fal.sign(&victim.1, BODY).pairs(), BODY);
    let bad_signature = wire::post(&path(victim.0), &fal.sign(&victim.1, b"something else").pairs(), BODY);
    let mut parts = rest.chunks(count).map(|part| part.iter().map(good).collect::<Vec<_>>());
    let mut next = || parts.next().context("there are enough attempts");
    let scene = Scene { options, round, server: &server, resting: resident(&server)? };
    let alone = Junk { what: &bad_token, per_second: 0, slow_sockets: 0 };
    let tokens = Junk { per_second: BAD_TOKENS_PER_SECOND, ..alone };
    let signatures = Junk { what: &bad_signature, per_second: BAD_SIGNATURES_PER_SECOND, slow_sockets: 0 };
    let slow = Junk { slow_sockets: SLOW_SOCKETS, ..tokens };
    let mut figures = vec![
        scene.measure("flood: none", next()?, alone).await?,
        scene.measure("flood: bad tokens", next()?, tokens).await?,
        scene.measure("flood: bad signatures", next()?, signatures).await?,
        scene.measure("flood: bad tokens, slow sockets", next()?, slow).await?,
    ];
    figures.extend(scene.statements(tokens).await?);
    Ok(figures)
}

/// Where the floods are measured.
struct Scene<'a> {
    options: &'a Options,
    round: &'a Round,
    server: &'a Server,
    /// Bytes of resident memory before any of them.
    resting: u64,
}

/// What a flood consists of.
#[derive(Clone, Copy)]
struct Junk<'a> {
    what: &'a [u8],
    per_second: usize,
    slow_sockets: usize,
}

impl Scene<'_> {
    /// Sends genuine callbacks while the junk comes.
    async fn measure(&self, name: &str, genuine: Vec<Vec<u8>>, junk: Junk<'_>) -> Result<Figure> {
        let count = genuine.len();
        let flood = Flood::start(self.server.callbacks, junk);
        // The flood is on, and every slow socket has found its place, before the first that counts.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let memory = watch_memory(self.server)?;
        let began = Instant::now();
        let offered = flood.answered.load(Ordering::Relaxed);
        let seen = steady(self.server.callbacks, genuine).await?;
        let took = began.elapsed();
        let answered = flood.answered.load(Ordering::Relaxed) - offered;
        let sent_away = flood.sent_away.load(Ordering::Relaxed);
        drop(flood);
        let peak = memory.stop().await?;
        let mut figure = Figure::new(name, count, took)
            .latencies(&seen.latencies)
            .also("2xx at the first try %", 100.0 * seen.taken as f64 / count as f64)
            .also("MB more", (peak.saturating_sub(self.resting)) as f64 / f64::from(1 << 20));
        if junk.per_second > 0 {
            figure = figure
                .also("junk offered per second", junk.per_second as f64)
                .also("junk answered per second", answered as f64 / took.as_secs_f64());
        }
        if junk.slow_sockets > 0 {
            figure = figure.also("slow sockets", junk.slow_sockets as f64).also("of them sent away", sent_away as f64);
        }
        Ok(figure)
    }

    /// Counts the statements of a flood that brings nothing genuine, and those of as long a time without one. Nothing where
    /// `pg_stat_statements` is not loaded.
    async fn statements(&self, junk: Junk<'_>) -> Result<Option<Figure>> {
        let time = Duration::from_secs(self.options.seconds as u64);
        let store = &self.round.store;
        let counted = async || -> Result<Option<f64>> {
            let before = Moment::read(store, None).await?;
            tokio::time::sleep(time).await;
            Ok(before.cost_until(&Moment::read(store, None).await?, 1).statements)
        };
        let Some(quiet) = counted().await? else { return Ok(None) };
        let flood = Flood::start(self.server.callbacks, junk);
        let flooded = counted().await?.unwrap_or(f64::NAN);
        let answered = flood.answered.load(Ordering::Relaxed);
        let figure = Figure::new("flood: statements of bad tokens", answered, time).without_rate();
        Ok(Some(
            figure
                .also("junk answered", answered as f64)
                .also("statements with it", flooded)
                .also("as long without", quiet),
        ))
    }
}

/// Junk from many connections at a steady rate that waits for nobody, and sockets that never finish a request. It ends when
/// it is dropped.
struct Flood {
    answered: Arc<AtomicUsize>,
    sent_away: Arc<AtomicUsize>,
    _senders: JoinSet<()>,
}

impl Flood {
    fn start(addr: SocketAddr, junk: Junk<'_>) -> Self {
        let (answered, sent_away) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let mut senders = JoinSet::new();
        let connections = if junk.per_second > 0 { JUNK_CONNECTIONS } else { 0 };
        let junk_bytes: Arc<[u8]> = junk.what.into();
        for _ in 0..connections {
            let beat = Duration::from_secs(1) * JUNK_CONNECTIONS as u32 / junk.per_second as u32;
            senders.spawn(send_junk(addr, Arc::clone(&junk_bytes), beat, Arc::clone(&answered)));
        }
        for _ in 0..junk.slow_sockets {
            senders.spawn(be_slow(addr, Arc::clone(&sent_away)));
        }
        Self { answered, sent_away, _senders: senders }
    }
}

async fn send_junk(addr: SocketAddr, junk: Arc<[u8]>, beat: Duration, answered: Arc<AtomicUsize>) {
    let mut beat = tokio::time::interval(beat);
    loop {
        // Who is sent away comes again.
        let Ok(mut connection) = Connection::open(addr).await else {
            beat.tick().await;
            continue;
        };
        while connection.ask(&junk).await.is_ok() {
            answered.fetch_add(1, Ordering::Relaxed);
            beat.tick().await;
        }
    }
}

async fn be_slow(addr: SocketAddr, sent_away: Arc<AtomicUsize>) {
    let mut beat = tokio::time::interval(SLOW_BEAT);
    let head = format!("POST /hooks/fal/a HTTP/1.1\r\nx-slow: {}", "a".repeat(SLOW_BYTES));
    loop {
        if let Ok(mut stream) = TcpStream::connect(addr).await {
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(b"a").await.is_ok() {
                beat.tick().await;
            }
            sent_away.fetch_add(1, Ordering::Relaxed);
        }
        beat.tick().await;
    }
}

/// What genuine callbacks saw.
struct Seen {
    /// From the moment at which each was due, so that a delay of one shows in those behind it.
    latencies: Vec<Duration>,
    taken: usize,
}

/// Sends each at its time, over kept connections.
async fn steady(addr: SocketAddr, requests: Vec<Vec<u8>>) -> Result<Seen> {
    let beat = Duration::from_secs(1) * GENUINE_CONNECTIONS as u32 / GENUINE_PER_SECOND as u32;
    let (requests, began) = (Arc::new(requests), Instant::now());
    let mut senders = JoinSet::new();
    for number in 0..GENUINE_CONNECTIONS {
        let requests = Arc::clone(&requests);
        let first = began + beat * number as u32 / GENUINE_CONNECTIONS as u32;
        senders.spawn(async move {
            let mut due = tokio::time::interval_at(first, beat);
            let (mut connection, mut latencies, mut taken) = (Connection::open(addr).await?, Vec::new(), 0);
            for request in requests.iter().skip(number).step_by(GENUINE_CONNECTIONS) {
                let due = due.tick().await;
                match connection.ask(request).await {
                    Ok(status) => taken += usize::from((200..300).contains(&status)),
                    Err(_) => connection = Connection::open(addr).await?,
                }
                latencies.push(due.elapsed());
            }
            anyhow::Ok((latencies, taken))
        });
    }
    let mut seen = Seen { latencies: Vec::with_capacity(requests.len()), taken: 0 };
    while let Some(sent) = senders.join_next().await {
        let (latencies, taken) = sent.context("a sender panicked")??;
        seen.latencies.extend(latencies);
        seen.taken += taken;
    }
    Ok(seen)
}

/// The most memory that a server took while it was watched.
struct Memory {
    most: Arc<AtomicUsize>,
    watching: JoinSet<()>,
}

fn watch_memory(server: &Server) -> Result<Memory> {
    let pid = server.pid().context("the server has ended")?;
    let most = Arc::<AtomicUsize>::default();
    let (seen, mut watching) = (Arc::clone(&most), JoinSet::new());
    watching.spawn(async move {
        loop {
            let bytes = resident_bytes(pid).and_then(|bytes| usize::try_from(bytes).ok());
            seen.fetch_max(bytes.unwrap_or(0), Ordering::Relaxed);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    Ok(Memory { most, watching })
}

impl Memory {
    async fn stop(mut self) -> Result<u64> {
        self.watching.shutdown().await;
        Ok(u64::try_from(self.most.load(Ordering::Relaxed))?)
    }
}

fn resident(server: &Server) -> Result<u64> {
    server.pid().and_then(resident_bytes).context("the server's memory cannot be read")
}
