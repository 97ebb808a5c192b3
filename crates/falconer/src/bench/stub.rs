//! The least fal that there can be: takes every request at once, and calls back at once where it is asked to. The
//! simulator would cost more than what is measured.

use super::wire::{Connection, content_length, find, post};
use anyhow::{Context, Result};
use simulator::Simulator;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use url::Url;

/// Connections that carry callbacks.
const CALLERS: usize = 64;

/// A running stub. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Stub {
    pub(super) addr: SocketAddr,
    /// Requests taken so far.
    pub(super) taken: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

/// A request that is over: its id, and the path of its callback.
type Call = (String, String);

impl Stub {
    /// Starts one. With `calls_back` it signs with the simulator's key and calls that address.
    pub(super) async fn start(calls_back: Option<(Simulator, SocketAddr)>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("failed to bind the stub")?;
        let (addr, taken) = (listener.local_addr()?, Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        let calls = calls_back.map(|(keys, callbacks)| {
            let (calls, queue) = mpsc::unbounded_channel();
            let queue = Arc::new(Mutex::new(queue));
            for _ in 0..CALLERS {
                let (keys, queue) = (keys.clone(), Arc::clone(&queue));
                tasks.spawn(async move {
                    // The end of the server under measurement ends its callers.
                    let _ = call_back(keys, callbacks, queue).await;
                });
            }
            calls
        });
        let count = Arc::clone(&taken);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (calls, count) = (calls.clone(), Arc::clone(&count));
                connections.spawn(async move {
                    let _ = answer(stream, calls, &count).await;
                });
            }
        });
        Ok(Self { addr, taken, _tasks: tasks })
    }
}

async fn answer(mut stream: TcpStream, calls: Option<mpsc::UnboundedSender<Call>>, taken: &AtomicUsize) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(16 * 1024);
    loop {
        let head = loop {
            if let Some(end) = find(&read, b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let whole = head + content_length(&read[..head]).unwrap_or(0);
        while read.len() < whole {
            stream.read_buf(&mut read).await?;
        }
        let id = store::fresh_id().to_string();
        let body =
            format!(r#"{{"request_id":"{id}","gateway_request_id":"{id}","status":"IN_QUEUE","queue_position":0}}"#);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
        taken.fetch_add(1, Ordering::Relaxed);
        if let (Some(calls), Some(path)) = (&calls, callback_path(&read[..head])) {
            let _ = calls.send((id, path));
        }
        read.drain(..whole);
    }
}

/// The path of the callback that the request line asks for.
fn callback_path(head: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    let asked = Url::parse("http://stub").ok()?.join(line.split(' ').nth(1)?).ok()?;
    let (_, callback) = asked.query_pairs().find(|(name, _)| name == "fal_webhook")?;
    Some(Url::parse(&callback).ok()?.path().to_owned())
}

async fn call_back(keys: Simulator, to: SocketAddr, queue: Arc<Mutex<mpsc::UnboundedReceiver<Call>>>) -> Result<()> {
    let mut connection = None;
    loop {
        let Some((id, path)) = queue.lock().await.recv().await else { return Ok(()) };
        let body = callback_body(&id);
        let request = signed(&keys, &path, &id, body.as_bytes());
        if connection.is_none() {
            connection = Some(Connection::open(to).await?);
        }
        if let Some(connection) = &mut connection {
            connection.ask(&request).await?;
        }
    }
}

/// A callback of a good run, about 790 bytes long.
pub(super) fn callback_body(id: &str) -> String {
    let prompt = "a photograph of an astronaut ".repeat(18);
    format!(
        concat!(
            r#"{{"request_id":"{id}","gateway_request_id":"{id}","status":"OK","payload":{{"images":[{{"url":"#,
            r#""https://v3.fal.media/files/lighthouse.png","width":1024,"height":768}}],"seed":17454220438242315174,"#,
            r#""prompt":"{prompt}"}}}}"#
        ),
        id = id,
        prompt = prompt
    )
}

/// A callback as fal would send it.
pub(super) fn signed(keys: &Simulator, path: &str, id: &str, body: &[u8]) -> Vec<u8> {
    post(path, &keys.sign(id, body).pairs(), body)
}
