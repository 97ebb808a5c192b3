//! An HTTP server that records each request and answers with whatever bytes a test wants, or with none.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// A request as it arrived. Header names are in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// A reply made anew for each request.
pub(crate) type MakeReply = Box<dyn Fn() -> Reply + Send + Sync>;

pub(crate) enum Reply {
    /// Writes the bytes and closes the connection.
    Close(Vec<u8>),
    /// Writes the bytes and holds the connection open.
    Hold(Vec<u8>),
    /// Writes the bytes, then the second ones again and again until the client is gone.
    Endless(Vec<u8>, Vec<u8>),
}

pub(crate) struct Server {
    pub(crate) url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) async fn start(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (reply, log) = (Arc::new(reply), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reply, log) = (Arc::clone(&reply), Arc::clone(&log));
                tokio::spawn(async move { serve(stream, &*reply, &log).await });
            }
        });
        Self { url, seen }
    }

    /// A server that gives the same answer to everything.
    pub(crate) async fn always(
        status: u16,
        headers: &'static [(&'static str, &'static str)],
        body: &'static str,
    ) -> Self {
        Self::start(move |_| answer(status, headers, body)).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    Reply::Close([head(status, headers, Some(body.len())).as_slice(), body.as_bytes()].concat())
}

/// The head of an answer, with or without a promise of its length.
pub(crate) fn head(status: u16, headers: &[(&str, &str)], length: Option<usize>) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    if let Some(length) = length {
        write!(head, "content-length: {length}\r\n").unwrap();
    }
    (head + "\r\n").into_bytes()
}

async fn serve(mut stream: TcpStream, reply: &(impl Fn(&Seen) -> Reply + Send + Sync), log: &Mutex<Vec<Seen>>) {
    let Some(seen) = read_request(&mut stream).await else {
        return;
    };
    let reply = reply(&seen);
    log.lock().unwrap().push(seen);
    match reply {
        Reply::Close(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Reply::Hold(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.read(&mut [0; 1]).await;
        }
        Reply::Endless(bytes, again) => {
            let mut open = stream.write_all(&bytes).await.is_ok();
            while open {
                open = stream.write_all(&again).await.is_ok();
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: HashMap<String, String> = lines.filter_map(pair).collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen { method, target, headers, body })
}
