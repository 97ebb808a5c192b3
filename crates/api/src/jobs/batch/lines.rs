//! A body as lines, each as soon as it has arrived.

use super::Item;
use crate::{Problem, ProblemKind};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use std::time::Duration;
use tokio_util::{
    codec::{AnyDelimiterCodec, Decoder as _},
    sync::CancellationToken,
};

/// The lines of a body that are not blank, without the white space around them.
#[derive(Debug)]
pub(super) struct Lines {
    body: Body,
    arrived: BytesMut,
    cutter: AnyDelimiterCodec,
    bytes_max: usize,
    idle_timeout: Duration,
    stop: CancellationToken,
    /// Nothing more is read of the body.
    is_over: bool,
}

impl Lines {
    /// Reads lines of at most `bytes_max` bytes, for as long as no silence lasts `idle_timeout` and until `stop`.
    pub(super) fn new(body: Body, bytes_max: usize, idle_timeout: Duration, stop: CancellationToken) -> Self {
        let (arrived, cutter) = (BytesMut::new(), cutter(bytes_max));
        Self { body, arrived, cutter, bytes_max, idle_timeout, stop, is_over: false }
    }

    /// Waits for the next line. One that is too long is a problem in its place, and is skipped. A body that breaks off,
    /// falls silent, or comes while the process stops ends with a problem in place of the line that did not arrive whole.
    ///
    /// Nothing is lost where this is dropped before it is done.
    pub(super) async fn next(&mut self) -> Option<Item> {
        loop {
            match self.cut() {
                Ok(Some(line)) if line.trim_ascii().is_empty() => {}
                Ok(Some(line)) => return Some(Ok(line.slice_ref(line.trim_ascii()))),
                Err(problem) => return Some(Err(problem)),
                Ok(None) if self.is_over => return None,
                Ok(None) => {
                    if let Err(problem) = self.read_on().await {
                        self.is_over = true;
                        (self.arrived, self.cutter) = (BytesMut::new(), cutter(self.bytes_max));
                        return Some(Err(problem));
                    }
                }
            }
        }
    }

    /// Cuts a line off what has arrived. The last one needs no end.
    fn cut(&mut self) -> Result<Option<Bytes>, Problem> {
        let cut = if self.is_over {
            self.cutter.decode_eof(&mut self.arrived)
        } else {
            self.cutter.decode(&mut self.arrived)
        };
        cut.map_err(|_| {
            let detail = format!("The limit of a line is {} bytes.", self.bytes_max);
            Problem::from(ProblemKind::BodyTooLarge).detail(detail)
        })
    }

    async fn read_on(&mut self) -> Result<(), Problem> {
        let frame = tokio::select! {
            frame = tokio::time::timeout(self.idle_timeout, self.body.frame()) => frame,
            () = self.stop.cancelled() => return Err(ProblemKind::Unavailable.into()),
        };
        match frame {
            Ok(None) => self.is_over = true,
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    self.arrived.extend_from_slice(&data);
                }
            }
            Ok(Some(Err(_))) => return Err(Problem::field("body", "must arrive whole")),
            Err(_) => return Err(ProblemKind::RequestTimeout.into()),
        }
        Ok(())
    }
}

fn cutter(bytes_max: usize) -> AnyDelimiterCodec {
    AnyDelimiterCodec::new_with_max_length(b"\n".to_vec(), b"\n".to_vec(), bytes_max)
}

#[cfg(test)]
mod tests;
