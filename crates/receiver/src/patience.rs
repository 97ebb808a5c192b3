//! A connection whose client must take what is sent to it.
//!
//! hyper limits how long it reads, not how long it writes: a client that asks again and again and reads no answer would
//! keep its connection for as long as it likes. Where a request is answered while it still arrives, a client that is heard
//! is not given up: many send everything before they read.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A stream that fails once a write has moved no byte for some time, and, if `hears`, no read has either.
#[derive(Debug)]
pub(crate) struct Patience<S> {
    stream: S,
    timeout: Duration,
    hears: bool,
    /// Since the last write that moved nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Patience<S> {
    pub(crate) fn new(stream: S, timeout: Duration, hears: bool) -> Self {
        Self { stream, timeout, hears, stalled: None }
    }

    /// Passes on what a write came to, unless it has come to nothing for too long.
    fn limited<T>(&mut self, cx: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.stalled = None;
            return moved;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.timeout)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.hears && buf.filled().len() > before {
            // The write that is stuck is tried again after each read, and the time begins anew.
            self.stalled = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.limited(cx, moved)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.limited(cx, moved)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.limited(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.limited(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up_and_one_that_is_slow_is_not() {
        let (ours, mut theirs) = duplex(4);
        let mut stream = Patience::new(ours, LIMIT, false);
        stream.write_all(b"1234").await.unwrap();
        let began = tokio::time::Instant::now();
        let slow = async {
            for _ in 0..4 {
                tokio::time::sleep(LIMIT * 2 / 3).await;
                theirs.read_u8().await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(b"5678"), slow);
        written.unwrap();
        assert!(began.elapsed() > LIMIT * 2);

        let began = tokio::time::Instant::now();
        assert_eq!(stream.write_all(b"9").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!((LIMIT..LIMIT * 2).contains(&began.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_and_does_not_read_is_given_up_only_where_it_is_not_heard() {
        for hears in [true, false] {
            let (ours, mut theirs) = duplex(4);
            let mut stream = Patience::new(ours, LIMIT, hears);
            stream.write_all(b"1234").await.unwrap();
            let sending = async {
                for _ in 0..4 {
                    tokio::time::sleep(LIMIT * 2 / 3).await;
                    theirs.write_u8(b'x').await.unwrap();
                }
            };
            let began = tokio::time::Instant::now();
            let serving = std::future::poll_fn(|cx| {
                let mut byte = [0];
                let mut byte = ReadBuf::new(&mut byte);
                while Pin::new(&mut stream).poll_read(cx, &mut byte).is_ready() {
                    byte.clear();
                }
                Pin::new(&mut stream).poll_write(cx, b"5")
            });
            let given_up = tokio::select! {
                written = serving => written.is_err(),
                () = async { sending.await; std::future::pending().await } => unreachable!(),
                () = tokio::time::sleep(LIMIT * 2) => false,
            };
            assert_eq!(given_up, !hears, "after {:?}", began.elapsed());
        }
    }
}
