//! Sends jobs while they are read, and takes the answers while it sends. What breaks is sent again under the same key, so
//! that no job is made twice.

use super::{
    block::{Block, Fate},
    read::Record,
};
use crate::commands::{
    client::{AWAY_MAX, Call, CallError, Client},
    exit::{Exit, Refusal},
};
use anyhow::{Result, anyhow};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use std::{
    convert::Infallible,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, time};

/// A blank line in this rhythm keeps an upload open while nothing is read. The server gives up after 30 seconds of silence.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// For an answer to what was sent.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);
/// The pause before which the person is told of it.
const TELL_AT: Duration = Duration::from_millis(800);

/// One job and what became of it.
#[derive(Debug)]
pub(super) struct Answered {
    /// Counted from 0, over everything that was read.
    pub(super) index: usize,
    pub(super) record: Record,
    pub(super) fate: Fate,
}

/// An upload under one key.
pub(super) struct Upload<'a> {
    pub(super) client: &'a Client,
    pub(super) key: String,
    pub(super) records: mpsc::Receiver<Result<Record>>,
    /// Called once for each job.
    pub(super) answered: &'a mut (dyn FnMut(Answered) -> Result<()> + Send),
}

/// How one try to send a block ended.
enum Try {
    /// Nothing more came of it, whether all jobs are answered or not.
    Over,
    Broken(CallError),
}

impl Upload<'_> {
    /// Sends everything.
    ///
    /// # Errors
    /// When what is read breaks off, when the server refuses the whole, or is away for too long. What was answered until then
    /// has been handed on.
    pub(super) async fn run(&mut self) -> Result<()> {
        let (mut first, mut number, mut is_over) = (0, 0, false);
        while !is_over {
            let mut block = Block::default();
            self.send(&mut block, number, first, &mut is_over).await?;
            first += block.len();
            number += 1;
        }
        Ok(())
    }

    /// Sends one block until all of it is answered.
    async fn send(&mut self, block: &mut Block, number: usize, first: usize, is_over: &mut bool) -> Result<()> {
        let (mut pause, mut broken_since, mut tries) = (PAUSE_FIRST, None, 0);
        // A request without a job is not worth sending.
        self.read(block, is_over).await?;
        loop {
            let answered = block.answered();
            let ended = self.attempt(block, number, first, is_over).await?;
            if (block.is_full() || *is_over) && block.is_answered() {
                return Ok(());
            }
            if block.answered() > answered {
                (pause, broken_since) = (PAUSE_FIRST, None);
            }
            let is_patient = broken_since.get_or_insert_with(Instant::now).elapsed() < AWAY_MAX;
            tries += 1;
            match ended {
                // Where there never was a server, none is waited for.
                Try::Broken(error) if (number, tries) == (0, 1) && error.is_unconnected() => {
                    return Err(error.into_end());
                }
                Try::Broken(error) if !(error.is_temporary() && is_patient) => return Err(error.into_end()),
                Try::Over if !is_patient => {
                    let line = format!("falconer: {} takes no more jobs", self.client.base());
                    return Err(Refusal::new(Exit::Failed, line).into());
                }
                Try::Broken(_) | Try::Over => {}
            }
            if pause == TELL_AT {
                eprintln!("{} is away; trying again for {} s", self.client.base(), AWAY_MAX.as_secs());
            }
            time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    async fn read(&mut self, block: &mut Block, is_over: &mut bool) -> Result<()> {
        match self.records.recv().await.transpose()? {
            Some(record) => block.push(record),
            None => *is_over = true,
        }
        Ok(())
    }

    /// Sends a block once, from its first line on, and reads on while there is room in it.
    async fn attempt(&mut self, block: &mut Block, number: usize, first: usize, is_over: &mut bool) -> Result<Try> {
        if block.len() == 0 {
            return Ok(Try::Over);
        }
        let (lines, body) = mpsc::channel::<Bytes>(8);
        let mut lines = Some(lines);
        let mut answers = self.exchange(number, body);
        let mut heartbeat = time::interval_at(time::Instant::now() + HEARTBEAT, HEARTBEAT);
        let (mut sent, mut quiet_since) = (0, Instant::now());
        loop {
            if sent == block.len() && (block.is_full() || *is_over) {
                lines = None;
            }
            let open = lines.clone();
            tokio::select! {
                room = room(open.as_ref()), if sent < block.len() => {
                    // Where nobody takes the body any more, the answer says why.
                    if let Some(room) = room { room.send(block.lines(sent)) } else { lines = None }
                    sent = block.len();
                }
                record = self.records.recv(), if sent == block.len() && !block.is_full() && !*is_over => {
                    match record.transpose()? {
                        Some(record) => block.push(record),
                        None => *is_over = true,
                    }
                    // What is there already goes together.
                    while !block.is_full() && !*is_over && let Ok(record) = self.records.try_recv() {
                        block.push(record?);
                    }
                }
                answer = answers.next() => match answer {
                    None => return Ok(Try::Over),
                    Some(Err(error)) => return Ok(Try::Broken(error)),
                    Some(Ok(line)) => {
                        quiet_since = Instant::now();
                        let taken = block.take(&line).map_err(|_| not_falconer(self.client.base()))?;
                        if let Some((index, record, fate)) = taken {
                            (self.answered)(Answered { index: first + index, record, fate })?;
                        }
                    }
                },
                _ = heartbeat.tick() => {
                    if block.is_answered() { quiet_since = Instant::now(); }
                    if quiet_since.elapsed() > PATIENCE {
                        return Ok(Try::Over);
                    }
                    if let Some(lines) = &open {
                        // A full channel is a sign of life too.
                        let _ = lines.try_send(Bytes::from_static(b"\n"));
                    }
                }
            }
        }
    }

    /// The lines of the answer to a body that is still being written.
    fn exchange(&self, number: usize, body: mpsc::Receiver<Bytes>) -> BoxStream<'static, Result<Bytes, CallError>> {
        let body = stream::unfold(body, async |mut body| Some((Ok::<_, Infallible>(body.recv().await?), body)));
        let call = Call::post("/v1/jobs/batch").idempotency_key(format!("{}.{number}", self.key));
        let (client, base) = (self.client.clone(), self.client.base().to_owned());
        let parts = async move {
            let answer = client.exchange(&call, "application/x-ndjson", reqwest::Body::wrap_stream(body)).await?;
            Ok(answer.bytes_stream().map_err(move |source| CallError::Unreachable { base: base.clone(), source }))
        };
        cut(parts.into_stream().try_flatten().boxed()).boxed()
    }
}

async fn room(lines: Option<&mpsc::Sender<Bytes>>) -> Option<mpsc::Permit<'_, Bytes>> {
    lines?.reserve().await.ok()
}

/// Cuts what arrives into lines. A last one that did not arrive whole is dropped.
fn cut(
    parts: BoxStream<'static, Result<Bytes, CallError>>,
) -> impl futures::Stream<Item = Result<Bytes, CallError>> + Send {
    stream::unfold((parts, BytesMut::new()), async |(mut parts, mut arrived)| {
        loop {
            if let Some(end) = arrived.iter().position(|byte| *byte == b'\n') {
                let line = arrived.split_to(end + 1).freeze();
                return Some((Ok(line), (parts, arrived)));
            }
            match parts.next().await? {
                Ok(part) => arrived.extend_from_slice(&part),
                Err(error) => return Some((Err(error), (parts, BytesMut::new()))),
            }
        }
    })
}

fn not_falconer(base: &str) -> anyhow::Error {
    anyhow!(Refusal::new(Exit::Failed, format!("falconer: {base} did not answer as a Falconer server does")))
}
