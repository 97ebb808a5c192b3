//! F53: sockets that dribble, idle or never listen are hung up on, while genuine callbacks go on.
//!
//! The server's own listener is used with short limits, in this process and on the world's database, so that nobody waits
//! for the real ones.

use super::{held, raw, raw::Call, still};
use domain::{RetryPolicy, TokenKeys};
use fal::jwks::KeyStore;
use futures::future::join_all;
use receiver::{Limits, Receiver, Rejections};
use simulator::RequestView;
use std::time::{Duration, Instant};
use store::{Pools, Store, log_limit::LogLimit, model_stats::ModelStats, settle::Settler, wake::Wakes};
use testkit::{CALLBACK_SECRET, World, ok_body};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The limits of this listener, in place of 10 and 15 s.
const LIMIT: Duration = Duration::from_secs(1);
/// Between two bytes of somebody slow: well below the limit, so that each byte alone looks alive.
const DRIBBLE: Duration = Duration::from_millis(20);
/// The machine may be busy; a limit that does not work is never reached at all.
const SLACK: Duration = Duration::from_secs(10);
/// Sockets of each kind.
const OF_EACH: usize = 20;

struct Listener {
    url: String,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_sockets_are_closed_within_their_limits_while_genuine_callbacks_go_on() {
    let world = still().slots(40).start().await;
    let mut genuine = Vec::new();
    for number in 0..20 {
        genuine.push(held(&world, &format!("an owl {number}")).await);
    }
    let listener = listen(&world, LIMIT);
    let post = |request: &RequestView| Call::genuine(&world, request, ok_body(&request.request_id, br#"{"seed": 1}"#));
    let sample = post(&genuine[0].1);

    let slow = join_all((0..OF_EACH).map(|_| all_kinds(&listener.url, &sample)));
    let busy = async {
        for (_, request) in &genuine {
            world.end_is_forged(request);
            assert_eq!(post(request).send(&listener.url).await, 200);
        }
    };
    let (heard, ()) = tokio::join!(slow, busy);
    assert!(heard.iter().sum::<usize>() >= OF_EACH, "of five in each ten, these heard why: {heard:?}");

    for (id, _) in &genuine {
        world.wait_ended_as(*id, "succeeded").await;
    }
    listener.end().await;
    world.drain_and_check().await;
}

/// Resolves when every kind has been hung up on within its limit. Returns how many heard why.
async fn all_kinds(url: &str, sample: &Call) -> usize {
    let mut unfinished = sample.clone();
    unfinished.add("content-length", sample.body.len().to_string());
    let mut chunked = sample.clone();
    chunked.add("transfer-encoding", "chunked");
    let (by_length, in_chunks) = (unfinished.head(), chunked.head());
    let large_chunk = [in_chunks.as_slice(), b"ffff\r\n"].concat();
    let idle = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    let heard = tokio::join!(
        hung_up("says nothing", url, b"", b"", ""),
        hung_up("dribbles its first line", url, b"POST /", b"a", ""),
        hung_up("dribbles its headers", url, b"POST / HTTP/1.1\r\nhost: a\r\n", b"x", ""),
        hung_up("sends half a head", url, b"POST /hooks/fal/a HTTP/1.1\r\nhost: a", b"", ""),
        hung_up("dribbles its body", url, &by_length, b" ", "408"),
        hung_up("sends no body", url, &by_length, b"", "408"),
        hung_up("dribbles its chunks", url, &in_chunks, b"1\r\n \r\n", "408"),
        hung_up("dribbles one chunk", url, &large_chunk, b" ", "408"),
        hung_up("idles after an answer", url, idle, b"", "200"),
        never_reads(url, idle),
    );
    let (_, _, _, _, body, no_body, chunks, chunk, idle, ()) = heard;
    [body, no_body, chunks, chunk, idle].into_iter().filter(|heard| *heard).count()
}

/// Sends `first`, then `again` now and then, until the server hangs up. If it says a last word, that has the status `answer`;
/// where bytes are on their way, the hang-up may overtake it. Returns whether it was heard.
async fn hung_up(what: &str, url: &str, first: &[u8], again: &[u8], answer: &str) -> bool {
    let began = Instant::now();
    let mut stream = raw::connect(url).await;
    let mut heard = Vec::new();
    let _ = stream.write_all(first).await;
    while began.elapsed() < LIMIT + SLACK {
        match tokio::time::timeout(DRIBBLE, stream.read_buf(&mut heard)).await {
            Ok(Ok(0) | Err(_)) => {
                let heard = String::from_utf8_lossy(&heard);
                assert!(heard.is_empty() || heard.contains(answer), "{what}: {heard}");
                assert!(began.elapsed() > LIMIT / 2, "{what}: after {:?}", began.elapsed());
                return !answer.is_empty() && heard.contains(answer);
            }
            Ok(Ok(_)) => {}
            Err(_) => drop(stream.write_all(again).await),
        }
    }
    panic!("{what} and is still connected after {:?}", began.elapsed());
}

/// Asks again and again without reading an answer, until the buffers between are full and nothing moves any more.
async fn never_reads(url: &str, ask: &[u8]) {
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    // Small, so that the buffers are full soon.
    socket.set_recv_buffer_size(4 * 1024).expect("a buffer may be small");
    let addr = url.strip_prefix("http://").unwrap_or(url).parse().expect("an address");
    let (_unread, mut writer) = socket.connect(addr).await.expect("the listener takes connections").into_split();
    let began = Instant::now();
    let many = ask.repeat(1_000);
    let flood = async { while writer.write_all(&many).await.is_ok() {} };
    let ended = tokio::time::timeout(LIMIT + SLACK, flood).await;
    assert!(ended.is_ok(), "whoever never reads is still connected after {:?}", began.elapsed());
}

fn listen(world: &World, write_timeout: Duration) -> Listener {
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    // Inherited by every connection: what loopback gives by itself holds tens of thousands of answers.
    socket.set_send_buffer_size(4 * 1024).expect("a buffer may be small");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port is free");
    let listener = socket.listen(1_024).expect("it can be listened on");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let limits = Limits { header_timeout: LIMIT, write_timeout, ..Limits::default() };
    let router = receiver::router(receiver_of(world, &tasks, &stop));
    tasks.spawn(receiver::serve(listener, router, limits, stop.clone()));
    Listener { url, stop, tasks }
}

fn receiver_of(world: &World, tasks: &TaskTracker, stop: &CancellationToken) -> Receiver {
    let pool = || world.db().clone();
    let store = Store { pools: Pools { callbacks: pool(), api: pool(), work: pool(), maintenance: pool() } };
    let retry = RetryPolicy { first: Duration::from_secs(1), longest: Duration::from_secs(1) };
    let settler = Settler::start(&store, retry, &ModelStats::default(), &Wakes::default(), tasks, stop);
    let http = fal::http_client().expect("the world has installed a TLS provider");
    let url = world.sim().jwks_url().parse().expect("a URL");
    Receiver {
        tokens: TokenKeys::derive(CALLBACK_SECRET).expect("it is long enough"),
        keys: KeyStore::new(http, url, || 0).expect("it is on this machine"),
        settler,
        rejections: Rejections::start(store, tasks, stop.clone()),
        body_max: 8_000_000,
        body_timeout: LIMIT,
        leeway: Duration::from_mins(5),
        outages: LogLimit::default(),
    }
}

impl Listener {
    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
