//! A caller of `POST /v1/jobs/batch` that decides when it sends and when it reads.

use serde_json::Value;
use std::{fmt::Write as _, ops::Range};
use testkit::World;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// A connection, whole.
pub(super) struct Caller {
    sender: Sender,
    reader: Reader,
}

/// The side that sends.
pub(super) struct Sender {
    stream: OwnedWriteHalf,
    head: String,
    in_chunks: bool,
}

/// The side that reads an answer in chunks, line by line.
pub(super) struct Reader {
    stream: BufReader<OwnedReadHalf>,
    head_is_read: bool,
    /// What is left of the chunk that is being read.
    chunk: usize,
    line: Vec<u8>,
}

/// The body of job number `number`, without the end of its line.
pub(super) fn prompt(number: usize) -> String {
    format!(r#"{{"model":"fal-ai/flux/schnell","input":{{"prompt":"owl {number}"}}}}"#)
}

/// A line for each job.
pub(super) fn numbered(numbers: Range<usize>) -> Vec<u8> {
    let lines = numbers.fold(String::new(), |mut lines, number| {
        let _ = writeln!(lines, "{}", prompt(number));
        lines
    });
    lines.into_bytes()
}

/// The ids of the jobs that were made or found.
pub(super) fn ids(answers: &[Value]) -> Vec<String> {
    answers
        .iter()
        .map(|line| line["job"]["id"].as_str().unwrap_or_else(|| panic!("refused: {line}")).to_owned())
        .collect()
}

impl Caller {
    pub(super) async fn connect(world: &World) -> Self {
        let addr = world.server().api().replace("http://", "");
        let (reader, writer) = TcpStream::connect(addr).await.expect("the server listens").into_split();
        let head = format!("host: story\r\nauthorization: Bearer {}\r\n", world.api_key());
        let reader = Reader { stream: BufReader::new(reader), head_is_read: false, chunk: 0, line: Vec::new() };
        Self { sender: Sender { stream: writer, head, in_chunks: false }, reader }
    }

    /// Sends the head; without a length, the body comes in chunks.
    pub(super) async fn begin(&mut self, length: Option<usize>, key: Option<&str>) {
        let framing =
            length.map_or("transfer-encoding: chunked".to_owned(), |length| format!("content-length: {length}"));
        let key = key.map(|key| format!("idempotency-key: {key}\r\n")).unwrap_or_default();
        let head = format!(
            "POST /v1/jobs/batch HTTP/1.1\r\n{}{key}{framing}\r\ncontent-type: application/x-ndjson\r\n\r\n",
            self.sender.head
        );
        self.sender.stream.write_all(head.as_bytes()).await.expect("the head is sent");
        self.sender.in_chunks = length.is_none();
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.sender.send(bytes).await;
    }

    pub(super) async fn end(&mut self) {
        self.sender.end().await;
    }

    /// Sends nothing more, as a process does that has died.
    pub(super) async fn fall_silent(&mut self) {
        self.sender.stream.shutdown().await.expect("the side that sends is closed");
    }

    /// Reads every line that is still to come.
    pub(super) async fn answers(&mut self) -> Vec<Value> {
        let mut lines = Vec::new();
        while let Some(line) = self.reader.line().await {
            lines.push(line);
        }
        lines
    }

    pub(super) fn split(self) -> (Sender, Reader) {
        (self.sender, self.reader)
    }
}

impl Sender {
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        assert!(self.try_send(bytes).await, "the server took what was sent");
    }

    /// Sends, and says whether the server took it.
    pub(super) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        if !self.in_chunks {
            return self.stream.write_all(bytes).await.is_ok();
        }
        let head = format!("{:x}\r\n", bytes.len());
        let chunk = [head.as_bytes(), bytes, b"\r\n"].concat();
        self.stream.write_all(&chunk).await.is_ok()
    }

    /// Ends a body that came in chunks.
    pub(super) async fn end(&mut self) {
        self.stream.write_all(b"0\r\n\r\n").await.expect("the end is sent");
    }
}

impl Reader {
    /// Reads the next line of the answer; nothing at its end.
    ///
    /// # Panics
    /// When the answer is none of lines.
    pub(super) async fn line(&mut self) -> Option<Value> {
        if !std::mem::replace(&mut self.head_is_read, true) {
            let head = self.head().await;
            assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/x-ndjson"), "{head}");
        }
        self.line.clear();
        while self.line.last() != Some(&b'\n') {
            if self.chunk == 0 && !self.next_chunk().await {
                assert!(self.line.is_empty(), "half a line: {}", String::from_utf8_lossy(&self.line));
                return None;
            }
            let mut rest = (&mut self.stream).take(self.chunk as u64);
            let read = rest.read_until(b'\n', &mut self.line).await.expect("the answer is read");
            assert!(read > 0, "the answer broke off");
            self.chunk -= read;
            if self.chunk == 0 {
                self.crlf().await;
            }
        }
        Some(serde_json::from_slice(&self.line).expect("a line is JSON"))
    }

    async fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.stream.read_line(&mut head).await.expect("a head") > 0, "the head broke off: {head}");
        }
        head
    }

    async fn next_chunk(&mut self) -> bool {
        let mut size = String::new();
        self.stream.read_line(&mut size).await.expect("the size of a chunk");
        assert!(!size.is_empty(), "the answer broke off");
        self.chunk = usize::from_str_radix(size.trim(), 16).expect("a size");
        if self.chunk == 0 {
            self.crlf().await;
        }
        self.chunk > 0
    }

    async fn crlf(&mut self) {
        let mut end = [0; 2];
        self.stream.read_exact(&mut end).await.expect("the end of a chunk");
        assert_eq!(&end, b"\r\n");
    }
}
