//! One block of the upload: jobs that are sent under one key, and kept until each of them is answered.
//!
//! Blocks end by what was read, never by when it was, so that the same jobs come again under the same keys.

use super::read::Record;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Jobs and bytes of a block. What is kept in memory is one block, and what is read ahead.
const JOBS: usize = 1_000;
const BYTES: usize = 8 * 1024 * 1024;

/// What became of one job.
#[derive(Debug)]
pub(super) enum Fate {
    /// The job as the server tells of it.
    Accepted(Box<RawValue>),
    /// The problem.
    Refused(Box<RawValue>),
}

/// A line of the server's answer.
#[derive(Deserialize)]
struct Line {
    index: usize,
    job: Option<Box<RawValue>>,
    problem: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    status: u16,
}

/// Jobs that go under one key.
#[derive(Debug, Default)]
pub(super) struct Block {
    jobs: Vec<(Record, bool)>,
    bytes: usize,
    answered: usize,
}

impl Block {
    pub(super) fn push(&mut self, record: Record) {
        self.bytes += record.bytes.len();
        self.jobs.push((record, false));
    }

    pub(super) fn is_full(&self) -> bool {
        self.jobs.len() >= JOBS || self.bytes >= BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn answered(&self) -> usize {
        self.answered
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered == self.jobs.len()
    }

    /// The lines from the one numbered `first` on.
    pub(super) fn lines(&self, first: usize) -> Bytes {
        let mut lines = BytesMut::new();
        for (record, _) in &self.jobs[first..] {
            lines.extend_from_slice(&record.bytes);
            lines.extend_from_slice(b"\n");
        }
        lines.freeze()
    }

    /// Takes a line of the answer, and tells what became of which job; nothing where that is known already, or where the
    /// server only could not take it now.
    ///
    /// # Errors
    /// When the line is not one of a Falconer server.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<Option<(usize, Record, Fate)>, serde_json::Error> {
        let line: Line = serde_json::from_slice(line)?;
        let fate = match (line.job, line.problem) {
            (Some(job), _) => Fate::Accepted(job),
            (None, Some(problem)) if is_temporary(&problem) => return Ok(None),
            (None, Some(problem)) => Fate::Refused(problem),
            (None, None) => return Err(serde::de::Error::custom("neither job nor problem")),
        };
        // A line past the end tells of the body, not of a job.
        let Some((record, is_known)) = self.jobs.get_mut(line.index) else { return Ok(None) };
        if std::mem::replace(is_known, true) {
            return Ok(None);
        }
        self.answered += 1;
        Ok(Some((line.index, record.clone(), fate)))
    }
}

/// Whether the same job may be taken in a moment: the server stops, or could not.
fn is_temporary(problem: &RawValue) -> bool {
    let status = serde_json::from_str::<Problem>(problem.get()).map_or(0, |problem| problem.status);
    matches!(status, 408 | 429) || status >= 500
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::jobs::many::read;

    fn block(jobs: usize) -> Block {
        let mut block = Block::default();
        (0..jobs).for_each(|number| block.push(read::tests::record(number)));
        block
    }

    #[test]
    fn each_job_is_answered_once_however_often_it_is_sent() {
        let mut block = block(2);
        assert!(block.take(br#"{"index":0,"job":{"id":"a"}}"#).unwrap().is_some());
        assert!(block.take(br#"{"index":0,"job":{"id":"a"}}"#).unwrap().is_none());
        assert!(!block.is_answered());
        let (index, _, fate) = block.take(br#"{"index":1,"problem":{"status":400}}"#).unwrap().unwrap();
        assert!(index == 1 && matches!(fate, Fate::Refused(_)) && block.is_answered());
    }

    #[test]
    fn a_server_that_stops_has_answered_nothing() {
        let mut block = block(2);
        for line in [&br#"{"index":0,"problem":{"status":503}}"#[..], br#"{"index":2,"problem":{"status":400}}"#] {
            assert!(block.take(line).unwrap().is_none());
        }
        assert_eq!(block.answered(), 0);
        assert!(block.take(b"<html>").is_err());
    }

    #[test]
    fn blocks_end_by_what_they_hold() {
        assert!(!block(JOBS - 1).is_full());
        assert!(block(JOBS).is_full());
        assert_eq!(block(3).lines(1), "{\"n\":1}\n{\"n\":2}\n");
    }
}
