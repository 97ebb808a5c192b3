//! The load: requests made beforehand, sent over kept connections in a closed loop. Plain HTTP/1.1 by hand, since every
//! microsecond of the generator is one that the server on the same machine does not have.

use anyhow::{Context, Result, ensure};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// What a run of requests saw.
#[derive(Debug)]
pub(super) struct Driven {
    pub(super) took: Duration,
    pub(super) latencies: Vec<Duration>,
    /// Answers that were not 2xx.
    pub(super) refused: usize,
}

/// Writes a POST as it goes over the wire.
pub(super) fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    request
}

/// Writes a GET as it goes over the wire.
pub(super) fn get(path: &str, authorization: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: {authorization}\r\n\r\n").into_bytes()
}

/// Sends all requests, each connection the next one as soon as it has its answer.
pub(super) async fn drive(addr: SocketAddr, requests: Vec<Vec<u8>>, connections: usize) -> Result<Driven> {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..connections {
        senders.spawn(send(addr, Arc::clone(&requests), Arc::clone(&next)));
    }
    let mut driven = Driven { took: Duration::ZERO, latencies: Vec::with_capacity(requests.len()), refused: 0 };
    while let Some(sent) = senders.join_next().await {
        let (latencies, refused) = sent.context("a sender panicked")??;
        driven.latencies.extend(latencies);
        driven.refused += refused;
    }
    driven.took = began.elapsed();
    Ok(driven)
}

async fn send(addr: SocketAddr, requests: Arc<Vec<Vec<u8>>>, next: Arc<AtomicUsize>) -> Result<(Vec<Duration>, usize)> {
    let mut connection = Connection::open(addr).await?;
    let (mut latencies, mut refused) = (Vec::new(), 0);
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let sent = Instant::now();
        let status = connection.ask(request).await?;
        latencies.push(sent.elapsed());
        refused += usize::from(!(200..300).contains(&status));
    }
    Ok((latencies, refused))
}

/// One kept connection.
pub(super) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await.context("failed to connect to the server under measurement")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request, reads its whole answer and returns the status.
    pub(super) async fn ask(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.read.clear();
        let head = loop {
            ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the server closed a connection");
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let status = std::str::from_utf8(self.read.get(9..12).unwrap_or_default())?.parse()?;
        match content_length(&self.read[..head]) {
            Some(length) => {
                while self.read.len() < head + length {
                    ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the server closed a connection");
                }
            }
            // In chunks: nothing but the last one ends like this, since the bodies are JSON.
            None => {
                while !self.read.ends_with(b"0\r\n\r\n") {
                    ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the server closed a connection");
                }
            }
        }
        Ok(status)
    }
}

/// The length that a head announces.
pub(super) fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

/// Where `needle` first stands.
pub(super) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
