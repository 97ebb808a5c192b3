//! Junk at a steady rate, and what it may be made of.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use super::callbacks;
use domain::TokenKeys;
use simulator::{RequestView, WebhookHeaders};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use testkit::{CALLBACK_SECRET, World, ok_body, wait};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

pub(super) const JUNK_PER_SECOND: usize = 2_000;
const JUNK_CONNECTIONS: usize = 8;

/// Junk at a steady rate that waits for nobody, over kept connections.
pub(super) struct Flood {
    stop: Arc<AtomicBool>,
    senders: JoinSet<Vec<u16>>,
}

impl Flood {
    pub(super) async fn start(world: &World, junk: Vec<u8>) -> Self {
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
    pub(super) async fn stop(self) -> (usize, Vec<u16>) {
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

/// A callback that fal signed a moment ago, for somebody else.
pub(super) fn signed_for_another(world: &World, request: &RequestView) -> Vec<u8> {
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
pub(super) fn not_found_junk() -> Vec<u8> {
    let other = TokenKeys::derive("another installation's secret or a guess at ours").unwrap();
    let token = other.sign(domain::CredentialId::DEFAULT, domain::AttemptId(uuid::Uuid::from_u128(7)));
    post(&format!("/hooks/fal/{token}"), "7-a")
}

/// Callbacks to a URL that we made, signed by nobody.
pub(super) fn unsigned_junk(request: &RequestView) -> Vec<u8> {
    let url: reqwest::Url = request.webhook_url.as_deref().unwrap().parse().unwrap();
    assert!(TokenKeys::derive(CALLBACK_SECRET).unwrap().verify(url.path().rsplit('/').next().unwrap()).is_some());
    post(url.path(), &request.request_id)
}

pub(super) fn post(path: &str, request_id: &str) -> Vec<u8> {
    let (body, signature) = (r#"{"status":"OK"}"#, "0a".repeat(64));
    format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nx-fal-webhook-request-id: {request_id}\r\n\
         x-fal-webhook-user-id: user\r\nx-fal-webhook-timestamp: 1700000000\r\nx-fal-webhook-signature: {signature}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
