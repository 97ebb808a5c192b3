//! What became of the jobs of a batch, and the lines that say so.

use super::{Item, ROUTE};
use crate::{ApiState, Problem, ProblemKind, auth::Caller, idempotency, jobs::view::JobJson};
use bytes::Bytes;
use domain::JobId;
use futures::future::join_all;
use serde::Serialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};
use std::collections::HashMap;
use store::{
    accept::{self, Accepted, Idempotency},
    jobs::{self, JobView},
};
use submitter::JobRequest;

/// What became of one job of a batch.
#[derive(Debug)]
pub(super) enum Answer {
    /// It was made, and this is how it looks.
    Seen(Box<JobView>),
    /// It was made or found; how it looks is still to be read.
    Unseen(JobId),
    /// The problem, as JSON.
    Refused(Box<RawValue>),
}

#[derive(Serialize)]
struct JobLine {
    index: usize,
    job: JobJson,
}

#[derive(Serialize)]
struct ProblemLine<'a> {
    index: usize,
    problem: &'a RawValue,
}

/// Hands jobs to the store, the first of which is number `first`, and answers one for one, in order. They are committed
/// when this returns; those that were handed in are also where the caller goes away.
pub(super) async fn accept(
    api: &ApiState,
    caller: &Caller,
    key: Option<&Idempotency>,
    first: usize,
    items: Vec<Item>,
) -> Vec<Answer> {
    // An upload may go on for longer than its key counts.
    if let Err(problem) = caller.recheck(api).await {
        return items.iter().map(|_| Answer::refused(&problem)).collect();
    }
    let each = items.into_iter().enumerate();
    join_all(each.map(async |(offset, item)| match one(api, caller, key, first + offset, item).await {
        Ok(accept::Answer { accepted: Accepted::KeyReused(_), .. }) => {
            Answer::refused(&ProblemKind::IdempotencyKeyReused.into())
        }
        Ok(accept::Answer { view: Some(view), .. }) => Answer::Seen(Box::new(view)),
        Ok(accept::Answer { accepted, view: None }) => Answer::Unseen(accepted.job()),
        Err(problem) => Answer::refused(&problem),
    }))
    .await
}

async fn one(
    api: &ApiState,
    caller: &Caller,
    key: Option<&Idempotency>,
    index: usize,
    item: Item,
) -> Result<accept::Answer, Problem> {
    let item = item?;
    if item.len() > api.limits.body_bytes_max {
        return Err(ProblemKind::BodyTooLarge.into());
    }
    let request = JobRequest::parse(&item)?;
    let key = key.map(|key| idempotency::of_item(key, index, ROUTE, &item)).transpose()?;
    Ok(api.intake.accept(caller.project, request, key).await?)
}

/// Writes a line for each answer, the first of which is number `first`. Jobs that were not seen yet are read now.
pub(super) async fn lines_of(api: &ApiState, caller: &Caller, first: usize, answers: Vec<Answer>) -> Bytes {
    let unseen_ids: Vec<JobId> = answers.iter().filter_map(Answer::unseen).collect();
    let seen = if unseen_ids.is_empty() {
        Ok(Vec::new())
    } else {
        jobs::views(&api.store, Some(caller.project), &unseen_ids).await
    };
    let (views, unseen): (HashMap<JobId, JobView>, Option<Problem>) = match seen {
        Ok(views) => (views.into_iter().map(|view| (view.id, view)).collect(), None),
        Err(error) => (HashMap::new(), Some(error.into())),
    };
    let mut lines = Vec::with_capacity(answers.len() * 1024);
    for (offset, answer) in answers.into_iter().enumerate() {
        let index = first + offset;
        match answer {
            Answer::Refused(problem) => write(&mut lines, &ProblemLine { index, problem: &problem }),
            Answer::Seen(view) => write(&mut lines, &JobLine { index, job: JobJson::of(*view, caller.payloads) }),
            // Two answers may tell of one job, where both gave the same key.
            Answer::Unseen(id) if views.contains_key(&id) => {
                write(&mut lines, &JobLine { index, job: JobJson::of(views[&id].clone(), caller.payloads) });
            }
            // The job was accepted, and only the look at it failed: its id is what the caller must not lose.
            Answer::Unseen(id) => {
                let problem = unseen.clone().unwrap_or(ProblemKind::JobNotFound.into());
                let problem = raw(&problem.with("job_id", json!(id)));
                write(&mut lines, &ProblemLine { index, problem: &problem });
            }
        }
    }
    lines.into()
}

fn raw(problem: &Problem) -> Box<RawValue> {
    to_raw_value(&problem.to_json()).expect("a value has string keys alone")
}

fn write(lines: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *lines, line).expect("a line has string keys alone and is written into memory");
    lines.push(b'\n');
}

impl Answer {
    fn refused(problem: &Problem) -> Self {
        Self::Refused(raw(problem))
    }

    fn unseen(&self) -> Option<JobId> {
        match self {
            Self::Unseen(id) => Some(*id),
            Self::Seen(_) | Self::Refused(_) => None,
        }
    }

    /// The same, without what can be read again.
    pub(super) fn compact(self) -> Self {
        match self {
            Self::Seen(view) => Self::Unseen(view.id),
            Self::Unseen(_) | Self::Refused(_) => self,
        }
    }

    /// The memory that it takes, in bytes, once it is compact.
    pub(super) fn compact_bytes(&self) -> usize {
        let beyond = match self {
            Self::Refused(problem) => problem.get().len(),
            Self::Seen(_) | Self::Unseen(_) => 0,
        };
        size_of::<Self>() + beyond
    }
}
