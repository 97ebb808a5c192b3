//! Lines that are accepted while more of them arrive, and answered while more are accepted.
//!
//! Reading does not wait for the caller to take its answers: many send everything before they read anything, and would wait
//! for us for ever while we wait for them. So answers that were not taken yet are held, each as the id of its job, and only
//! when they fill their room is no more read. No database connection is held while anybody waits for the caller.

use super::{
    Item, TOGETHER,
    answers::{Answer, accept, lines_of},
    lines::Lines,
};
use crate::{ApiState, Problem, ProblemKind, auth::Caller};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream, stream::FuturesOrdered};
use std::{convert::Infallible, sync::Arc};
use store::accept::Idempotency;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc},
    task::JoinSet,
};

/// Uploads of a process at once.
static UPLOADS: Semaphore = Semaphore::const_new(64);

/// Groups of one upload that are being committed. While they are, the next one gathers.
const COMMITTING: usize = 2;
/// Bytes of lines that are handed in together, and the line that exceeds it.
const TOGETHER_BYTES: usize = 1024 * 1024;
/// While no more than this waits for the caller, it waits with all that its lines will say. What comes on top is read again.
const HELD_WHOLE_BYTES: usize = 16 * 1024;
/// Memory for the answers of one upload that wait for the caller, in bytes: those of more than a million jobs.
const HELD_BYTES_MAX: usize = 32 * 1024 * 1024;

/// One upload, as its reader holds it.
pub(super) struct Upload {
    api: ApiState,
    caller: Caller,
    key: Option<Arc<Idempotency>>,
    lines: Lines,
    taken: mpsc::UnboundedSender<Held>,
    room: Arc<Semaphore>,
}

/// Answers that wait for the caller, and the room that they take.
struct Held {
    first: usize,
    answers: Vec<Answer>,
    room: OwnedSemaphorePermit,
}

/// Lines that were read and not handed in yet.
#[derive(Default)]
struct Group {
    items: Vec<Item>,
    bytes: usize,
}

/// What the answer's body is made from. Dropping it ends the reading; what was handed in is committed nevertheless.
struct Answers {
    api: ApiState,
    caller: Caller,
    held: mpsc::UnboundedReceiver<Held>,
    _reading: JoinSet<()>,
    _upload: SemaphorePermit<'static>,
}

impl Upload {
    /// Begins to read, and returns the lines of the answer. Refuses one upload too many.
    pub(super) fn start(
        api: ApiState,
        caller: Caller,
        key: Option<Arc<Idempotency>>,
        lines: Lines,
    ) -> Result<impl stream::Stream<Item = Result<Bytes, Infallible>>, Problem> {
        let permit = UPLOADS.try_acquire().map_err(|_| Problem::from(ProblemKind::Unavailable))?;
        let (taken, held) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(HELD_BYTES_MAX));
        let upload = Self { api: api.clone(), caller: caller.clone(), key, lines, taken, room };
        // Spawned, since it goes on while nobody asks for the answer; within a set, since it must not outlive it.
        let mut reading = JoinSet::new();
        reading.spawn(upload.run());
        let answers = Answers { api, caller, held, _reading: reading, _upload: permit };
        Ok(stream::unfold(answers, async |mut answers| {
            let Held { first, answers: group, room } = answers.held.recv().await?;
            let lines = lines_of(&answers.api, &answers.caller, first, group).await;
            drop(room);
            Some((Ok(lines), answers))
        }))
    }

    async fn run(mut self) {
        let mut committing: FuturesOrdered<BoxFuture<'static, (usize, Vec<Answer>)>> = FuturesOrdered::new();
        let (mut group, mut first, mut is_over) = (Group::default(), 0, false);
        loop {
            // What is here already goes together; nothing is waited for while there is room to commit it.
            while !is_over
                && !group.is_full()
                && let Some(line) = self.lines.next().now_or_never()
            {
                is_over = !group.take(line);
            }
            if !group.items.is_empty() && committing.len() < COMMITTING {
                let items = std::mem::take(&mut group).items;
                let next = first + items.len();
                committing.push_back(self.accept(first, items));
                first = next;
            }
            if is_over && committing.is_empty() && group.items.is_empty() {
                return;
            }
            let taken = self.taken.clone();
            tokio::select! {
                () = taken.closed() => return,
                Some((first, answers)) = committing.next() => {
                    if !self.hold(first, answers).await {
                        return;
                    }
                }
                line = self.lines.next(), if !is_over && !group.is_full() => is_over = !group.take(line),
            }
        }
    }

    fn accept(&self, first: usize, items: Vec<Item>) -> BoxFuture<'static, (usize, Vec<Answer>)> {
        let (api, caller, key) = (self.api.clone(), self.caller.clone(), self.key.clone());
        async move { (first, accept(&api, &caller, key.as_deref(), first, items).await) }.boxed()
    }

    /// Gives answers to the caller, or waits until there is room for them; false where the caller is gone.
    async fn hold(&mut self, first: usize, mut answers: Vec<Answer>) -> bool {
        let bytes: usize = answers.iter().map(Answer::compact_bytes).sum();
        // A group that is larger than all the room takes all of it.
        let bytes = u32::try_from(bytes.min(HELD_BYTES_MAX)).unwrap_or(u32::MAX);
        let room = tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(bytes) => room,
            () = self.taken.closed() => return false,
        };
        let Ok(room) = room else { return false };
        if HELD_BYTES_MAX - self.room.available_permits() > HELD_WHOLE_BYTES {
            answers = answers.into_iter().map(Answer::compact).collect();
        }
        self.taken.send(Held { first, answers, room }).is_ok()
    }
}

impl Group {
    fn is_full(&self) -> bool {
        self.items.len() >= TOGETHER || self.bytes >= TOGETHER_BYTES
    }

    /// Takes a line; false where there was none.
    fn take(&mut self, line: Option<Item>) -> bool {
        let Some(line) = line else { return false };
        self.bytes += line.as_ref().map_or(0, Bytes::len);
        self.items.push(line);
        true
    }
}
