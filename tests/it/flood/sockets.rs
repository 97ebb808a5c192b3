//! Sockets that are held open: by requests that never end, and by bodies that never end.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use super::{callbacks, junk};
use simulator::RequestView;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use testkit::{World, wait};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Bodies that begin and do not end: more than may be held.
pub(super) const STALLED: usize = 60;
pub(super) const STALLED_BYTES: usize = 7_900_000;
/// So many of them fit, where nothing is allocated ahead.
const STALLED_FIT: usize = 34;

/// Sockets that send the headers of one request, a byte at a time, and never finish.
pub(super) struct SlowSockets {
    stop: Arc<AtomicBool>,
    senders: JoinSet<()>,
}

impl SlowSockets {
    pub(super) async fn open(world: &World, count: usize) -> Self {
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

    pub(super) async fn close(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.senders.join_all().await;
    }
}

/// Large bodies under a good token that stop short of their end.
pub(super) struct Stalled {
    stop: CancellationToken,
    senders: JoinSet<()>,
}

impl Stalled {
    /// Returns when all that do not fit were refused. Neither the signature nor the time to send decides it.
    pub(super) async fn open(world: &World, request: &RequestView) -> Self {
        let url: reqwest::Url = request.webhook_url.as_deref().unwrap().parse().unwrap();
        let head = String::from_utf8(junk::post(url.path(), &request.request_id)).unwrap();
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

    pub(super) async fn close(self) {
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
