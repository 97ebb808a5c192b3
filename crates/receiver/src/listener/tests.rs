use super::*;
use axum::routing::{get, post};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

const ROOM: usize = 8;
/// So long that no story here is saved by it.
const HEADER_TIMEOUT: Duration = Duration::from_mins(1);
/// A wait beyond it means that somebody was kept out.
const SOON: Duration = Duration::from_secs(5);

struct Site {
    addr: SocketAddr,
    hold: Arc<Notify>,
    stop: CancellationToken,
    served: TaskTracker,
}

impl Site {
    /// A listener with few seats. `/good` answers at once, `/hold` when it is told to.
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (hold, stop, served) = (Arc::new(Notify::new()), CancellationToken::new(), TaskTracker::new());
        let told = Arc::clone(&hold);
        let wait = move || async move {
            told.notified().await;
            StatusCode::OK
        };
        let router = Router::new().route("/good", post(|| async { StatusCode::OK })).route("/hold", get(wait));
        let limits = Limits { connections_max: ROOM, header_timeout: HEADER_TIMEOUT, ..Limits::default() };
        served.spawn(serve(listener, router, limits, stop.clone()));
        Self { addr, hold, stop, served }
    }

    /// A connection that has begun a request and does not go on.
    async fn slow(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(b"POST /good HTTP/1.1\r\nhost: a\r\nx-slow").await.unwrap();
        stream
    }

    async fn good(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        ask(&mut stream, "POST /good").await;
        stream
    }

    async fn end(self) {
        self.stop.cancel();
        self.served.close();
        self.served.wait().await;
    }
}

async fn ask(stream: &mut TcpStream, what: &str) {
    stream.write_all(format!("{what} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.unwrap();
    answered(stream).await;
}

async fn answered(stream: &mut TcpStream) {
    let mut read = [0; 1024];
    let count = tokio::time::timeout(SOON, stream.read(&mut read)).await.expect("it is not kept out").unwrap();
    assert!(read[..count].starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&read[..count]));
}

/// F53.
#[tokio::test]
async fn sockets_that_are_held_open_keep_nobody_out() {
    let site = Site::start().await;
    let mut slow = Vec::new();
    for _ in 0..4 * ROOM {
        slow.push(site.slow().await);
    }
    for _ in 0..ROOM {
        site.good().await;
        slow.push(site.slow().await);
    }
    drop(slow);
    site.end().await;
}

#[tokio::test]
async fn a_connection_that_brought_something_good_outlives_a_crowd_of_silent_ones() {
    let site = Site::start().await;
    let mut good = site.good().await;
    let mut slow = Vec::new();
    for _ in 0..4 * ROOM {
        slow.push(site.slow().await);
    }
    ask(&mut good, "POST /good").await;
    drop(slow);
    site.end().await;
}

#[tokio::test]
async fn a_request_in_hand_is_answered_however_many_come() {
    let site = Site::start().await;
    let mut held = TcpStream::connect(site.addr).await.unwrap();
    held.write_all(b"GET /hold HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut slow = Vec::new();
    for _ in 0..4 * ROOM {
        slow.push(site.slow().await);
    }
    site.good().await;
    site.hold.notify_one();
    answered(&mut held).await;
    drop(slow);
    site.end().await;
}

#[tokio::test]
async fn a_stop_lets_the_request_in_hand_finish() {
    let site = Site::start().await;
    let mut held = TcpStream::connect(site.addr).await.unwrap();
    held.write_all(b"GET /hold HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    site.good().await;
    site.stop.cancel();
    site.hold.notify_one();
    answered(&mut held).await;
    tokio::time::timeout(SOON, site.end()).await.expect("nothing is left to wait for");
}

/// The seat is given away while the request is on its way.
#[tokio::test]
async fn a_request_whose_seat_is_lost_is_turned_away_unserved() {
    let (seats, served) = (Seats::new(1), Arc::new(AtomicBool::new(false)));
    let seat = seats.take().await;
    seats.clear_some();
    let serving = Arc::clone(&served);
    let router = Router::new().route("/", get(move || async move { serving.store(true, Ordering::Relaxed) }));
    let answer =
        answer(&router, &seat, SocketAddr::from(([127, 0, 0, 1], 1)), Request::new(Body::empty())).await.unwrap();
    assert_eq!(
        (answer.status(), &answer.headers()["connection"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"close".parse().unwrap())
    );
    assert!(!served.load(Ordering::Relaxed));
}
