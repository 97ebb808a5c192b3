//! HTTP as a stranger writes it: byte by byte, with nothing put right.

use bytes::Bytes;
use simulator::RequestView;
use std::time::Duration;
use testkit::World;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Before it the server must have answered or hung up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request before it is written.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Bytes,
}

impl Call {
    /// The callback that fal would send at this moment.
    pub(super) fn genuine(world: &World, request: &RequestView, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let signed = world.sim().sign(&request.request_id, &body);
        Self::signed(request, &signed, body)
    }

    pub(super) fn signed(request: &RequestView, signed: &simulator::WebhookHeaders, body: Bytes) -> Self {
        let url: reqwest::Url = request.webhook_url.as_deref().expect("a webhook").parse().expect("a URL");
        let mut call = Self { method: "POST".to_owned(), path: url.path().to_owned(), headers: Vec::new(), body };
        call.add("content-type", "application/json");
        for (name, value) in signed.pairs() {
            call.add(name, value);
        }
        call
    }

    pub(super) fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
    }

    pub(super) fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.remove(name);
        self.add(name, value);
    }

    /// The value of a header that is there.
    pub(super) fn value(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        String::from_utf8(found.expect("the header is there").1.clone()).expect("it is text")
    }

    /// The head, with nothing added but a host and the wish to close.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut bytes =
            format!("{} {} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        bytes
    }

    /// Sends it with its length, and returns the status of the answer.
    pub(super) async fn send(mut self, to: &str) -> u16 {
        self.add("content-length", self.body.len().to_string());
        let bytes = [self.head().as_slice(), &self.body].concat();
        status(&exchange(to, bytes).await)
    }
}

/// Writes the bytes, and returns all that comes back until the server hangs up.
pub(super) async fn exchange(to: &str, bytes: Vec<u8>) -> Vec<u8> {
    let (mut reader, mut writer) = connect(to).await.into_split();
    let mut answer = Vec::new();
    let both = async {
        // A server that has heard enough hangs up while we still talk; its answer counts.
        let write = async { drop(writer.write_all(&bytes).await) };
        let read = async { drop(reader.read_to_end(&mut answer).await) };
        tokio::join!(write, read)
    };
    tokio::time::timeout(PATIENCE, both).await.expect("the server answers and hangs up");
    answer
}

/// As [`exchange`], but the bytes are followed by others again and again. Returns how many bytes were taken, too.
pub(super) async fn exchange_endless(to: &str, head: Vec<u8>, again: &[u8]) -> (Vec<u8>, usize) {
    let (mut reader, mut writer) = connect(to).await.into_split();
    let (mut answer, mut sent) = (Vec::new(), 0);
    let both = async {
        let write = async {
            let mut open = writer.write_all(&head).await.is_ok();
            while open {
                open = writer.write_all(again).await.is_ok();
                sent += again.len();
            }
        };
        let read = async { drop(reader.read_to_end(&mut answer).await) };
        tokio::join!(write, read)
    };
    tokio::time::timeout(PATIENCE, both).await.expect("the server answers and hangs up");
    (answer, sent)
}

/// The status of the first answer; 0 without one.
pub(super) fn status(answer: &[u8]) -> u16 {
    let line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// Connects to `http://host:port`.
pub(super) async fn connect(to: &str) -> TcpStream {
    let addr = to.strip_prefix("http://").unwrap_or(to);
    TcpStream::connect(addr).await.expect("the listener takes connections")
}
