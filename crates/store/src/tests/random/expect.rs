//! What the model expects the store to answer.

use super::command::Command;
use super::model::{Held, Model};
use super::ops::No;
use crate::settle::{AttemptOutcome, Disposition, JobOutcome, ResolveOutcome};
use domain::JobEvent;
use std::collections::BTreeMap;

/// What the store answered, in the model's numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seen {
    Nothing,
    Accepted(Vec<Answer>),
    /// Jobs and the attempts that were made for them.
    Claimed(Vec<(No, No)>),
    News(AttemptOutcome),
    Calls(Vec<Disposition>),
    Job(JobOutcome),
    Due(BTreeMap<No, Held>),
    Refetched(No),
    Resolved(ResolveOutcome),
    Retained(bool),
    Both(Box<Seen>, Box<Seen>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Answer {
    Created(No),
    Replayed(No),
    KeyReused(No),
    NotUnique(No),
}

impl Model {
    /// Every state that the model may be in when the store has answered `seen`: of a race, one for each order that
    /// explains it. The reason where there is none.
    pub(super) fn explain(&self, command: &Command, seen: &Seen) -> Result<Vec<Self>, String> {
        let Command::Race(one, other) = command else {
            let mut model = self.clone();
            model.expect(command, Some(seen), false)?;
            return Ok(vec![model]);
        };
        let Seen::Both(first, second) = seen else { return Err(format!("{seen:?} for a race")) };
        let order = |a: &Command, saw_a: &Seen, b: &Command, saw_b: &Seen| {
            let mut model = self.clone();
            model.expect(a, Some(saw_a), true)?;
            model.expect(b, Some(saw_b), true)?;
            Ok::<_, String>(model)
        };
        let orders = [order(one, first, other, second), order(other, second, one, first)];
        let explained: Vec<Self> = orders.iter().flatten().cloned().collect();
        if explained.is_empty() {
            Err(format!("no order explains {seen:?}: {:?}", orders.map(Result::err)))
        } else {
            Ok(explained)
        }
    }

    /// Goes on as if the store had answered as it should.
    pub(super) fn presume(&mut self, command: &Command) {
        let done = match command {
            Command::Race(one, other) => {
                self.expect(one, None, true).and_then(|_| self.expect(other, None, true)).map(|_| ())
            }
            command => self.expect(command, None, false).map(|_| ()),
        };
        done.expect("the model agrees with itself");
    }

    fn expect(&mut self, command: &Command, seen: Option<&Seen>, racing: bool) -> Result<Seen, String> {
        let expected = match command {
            Command::Nothing | Command::Race(..) => Seen::Nothing,
            Command::Accept { first, batch, committed: true } => Seen::Accepted(self.accept(*first, batch)),
            Command::Accept { first, batch, committed: false } => Seen::Accepted(self.clone().accept(*first, batch)),
            Command::Claim { first, room, places } => {
                let wanted = self.claimable(*room, *places);
                let taken = match seen {
                    Some(Seen::Claimed(taken)) => taken.clone(),
                    _ => wanted.0.iter().copied().take(wanted.1).zip(*first..).collect(),
                };
                self.claim(&taken, &wanted, racing)?;
                Seen::Claimed(taken)
            }
            Command::News(news) => Seen::News(self.hear(news)),
            Command::Calls(calls) => Seen::Calls(self.receive(calls)),
            Command::Due => {
                let taken = match seen {
                    Some(Seen::Due(taken)) => taken.clone(),
                    _ => self.attempts.keys().filter_map(|no| Some((*no, self.due(*no)?))).collect(),
                };
                self.take(&taken)?;
                Seen::Due(taken)
            }
            Command::Sweep => {
                self.sweep();
                Seen::Nothing
            }
            Command::Cancel { job, ours: true } => Seen::Job(self.wish(*job, &JobEvent::CancelRequested)),
            Command::Cancel { ours: false, .. } => Seen::Job(JobOutcome::NotFound),
            Command::Refetch { job, source, body, fresh } => {
                Seen::Refetched(self.refetched(*job, *source, body, *fresh))
            }
            Command::Resolve { job, how } => Seen::Resolved(self.decided(*job, *how)),
            Command::Repin(pinned) => {
                (self.pinned, self.seen) = (*pinned, (false, 0));
                Seen::Nothing
            }
            Command::Retain => Seen::Retained(self.retain()),
        };
        match seen {
            Some(seen) if *seen != expected => Err(format!("{seen:?} instead of {expected:?}")),
            _ => Ok(expected),
        }
    }
}
