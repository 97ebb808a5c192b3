//! From what somebody does to what the store is called with: the truth at fal decides what is heard and seen.

use super::model::{Batch, Call, Model, RETRY_AFTER, TICK, TIMEOUTS, millis, name_of};
use super::news::{News, Speaker};
use super::ops::{End, No, Op, Reply, Twist};
use crate::settle::{KeptCause, Said, Source};
use bytes::Bytes;
use domain::{AttemptEvent, Charged, ErrorClass, Failure, RequestId, Resolution};

/// A call of the store, with every number and byte of it.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Nothing,
    Accept { first: No, batch: Batch, committed: bool },
    Claim { first: No, room: u16, places: u16 },
    News(News),
    Calls(Vec<(No, Call, bool)>),
    Due,
    Sweep,
    Cancel { job: No, ours: bool },
    Refetch { job: No, source: No, body: Bytes, fresh: (No, No) },
    Resolve { job: No, how: Resolution },
    Repin(Option<bool>),
    Retain,
    Race(Box<Command>, Box<Command>),
}

impl Model {
    /// Lets a tick pass, does what the operation does at fal, and says what is to be asked of the store.
    pub(super) fn resolve(&mut self, op: &Op) -> Command {
        self.now += TICK * 1000;
        // Ids that no claim has used are taken again, so that a list of operations means the same without an idle claim.
        self.minted.attempts = self.attempts_made;
        self.command(op)
    }

    fn command(&mut self, op: &Op) -> Command {
        match op {
            Op::Accept { jobs, committed } => {
                let first = self.minted.jobs;
                self.minted.jobs += No::try_from(jobs.len()).unwrap();
                let batch = Batch { specs: jobs.clone(), at: self.now };
                self.batches.insert(first, batch.clone());
                Command::Accept { first, batch, committed: *committed }
            }
            Op::AcceptAgain { first } => match self.batches.get(first) {
                Some(batch) => Command::Accept { first: *first, batch: batch.clone(), committed: true },
                None => Command::Nothing,
            },
            Op::Claim { room, places } => {
                let first = self.minted.attempts;
                self.minted.attempts += room;
                Command::Claim { first, room: *room, places: *places }
            }
            Op::Post { attempt, reply } => {
                self.post(*attempt, *reply);
                Command::Nothing
            }
            Op::Record { attempt } => self.record(*attempt).map_or(Command::Nothing, Command::News),
            Op::Finish { run, end } => {
                if let Some(run @ None) = self.runs.get_mut(run) {
                    *run = Some(*end);
                }
                Command::Nothing
            }
            Op::Call { attempt, twist, copies } => self.calls(*attempt, *twist, *copies),
            Op::Reprocess { callback } => match self.callbacks.get(callback) {
                Some(call) => Command::Calls(vec![(*callback, call.clone(), true)]),
                None => Command::Nothing,
            },
            Op::Due => Command::Due,
            Op::Look { attempt, sight } => self.look(*attempt, *sight).map_or(Command::Nothing, Command::News),
            Op::Sweep => Command::Sweep,
            Op::Cancel { job, ours } => Command::Cancel { job: *job, ours: *ours },
            Op::Refetch { job } => self.refetch(*job),
            Op::Resolve { job, how } => Command::Resolve { job: *job, how: *how },
            Op::Repin { known } => Command::Repin(known.then_some(true)),
            Op::Retain => Command::Retain,
            Op::Wait { seconds } => {
                self.now += seconds * 1000;
                Command::Nothing
            }
            Op::Race(one, other) => Command::Race(Box::new(self.command(one)), Box::new(self.command(other))),
        }
    }

    /// Whether the sender of an attempt may still begin its POST.
    pub(super) fn may_post(&self, no: No) -> bool {
        self.attempts.get(&no).is_some_and(|attempt| {
            attempt.reply.is_none()
                && attempt.request_id.is_none()
                && self.now + TICK * 1000 <= attempt.claimed_at + millis(TIMEOUTS.submit)
        })
    }

    fn post(&mut self, no: No, reply: Reply) {
        if let Some(attempt) = self.attempts.get_mut(&no)
            && attempt.reply.is_none()
            && attempt.request_id.is_none()
        {
            attempt.reply = Some(reply);
            if reply.begins_a_run() {
                self.runs.insert(no, None);
            }
        }
    }

    fn record(&self, no: No) -> Option<News> {
        let reply = self.attempts.get(&no)?.reply?;
        let refused = |class| AttemptEvent::Refused(Failure { class, charged: Charged::No });
        let (event, by) = match reply {
            Reply::Takes => (AttemptEvent::Bound(RequestId(name_of(no))), Speaker::Anyone),
            Reply::TakesUnheard | Reply::Lost => (AttemptEvent::NoAnswer, Speaker::Holder),
            Reply::Refuses => (refused(ErrorClass::Validation), Speaker::Holder),
            Reply::Fails => (refused(ErrorClass::Infrastructure), Speaker::Holder),
            Reply::Busy => (AttemptEvent::PushedBack { class: ErrorClass::RateLimited }, Speaker::Holder),
            Reply::BadKey => (AttemptEvent::PushedBack { class: ErrorClass::Credential }, Speaker::Holder),
            Reply::Unreachable => (AttemptEvent::NotSent, Speaker::Holder),
        };
        let retry_after = (reply == Reply::Busy).then_some(RETRY_AFTER);
        Some(News { by, retry_after, ..News::of(no, Some(event), Source::Submit) })
    }

    fn calls(&mut self, no: No, twist: Twist, copies: u8) -> Command {
        let run = if let Twist::OfRun(run) = twist { run } else { no };
        let Some(Some(end)) = self.runs.get(&run).copied() else { return Command::Nothing };
        let error = |failure| Said::Error { failure, message: "as fal said: \0".to_owned() };
        let truth = |body: Option<&'static [u8]>| body.map_or(error(end.failure()), |body| Said::Ok(body.into()));
        let said = match twist {
            Twist::NullPayload => Said::Unusable(KeptCause::NullPayload),
            Twist::Unreadable => Said::Unusable(KeptCause::UnreadableBody),
            Twist::Spaced => truth(end.respaced()),
            Twist::OtherResult => Said::Ok(Bytes::from_static(b"{\"another\": 1}")),
            Twist::OtherEnd => error(End::Passing.failure()),
            _ => truth(end.result()),
        };
        let attempt = if twist == Twist::ForNobody { No::MAX } else { no };
        if let (Twist::OtherResult | Twist::OtherEnd, Some(attempt)) = (twist, self.attempts.get_mut(&attempt)) {
            attempt.misled = true;
        }
        let call = Call {
            attempt,
            request_id: RequestId(name_of(run)),
            ours: twist != Twist::WrongUser,
            signed_at: self.now / 1000 - if twist == Twist::Stale { 4_000 } else { 0 },
            body: Bytes::from(format!("{run} {twist:?} {said:?}")),
            said,
            disposition: ("", None),
        };
        let first = self.minted.callbacks;
        self.minted.callbacks += No::from(copies);
        Command::Calls((first..self.minted.callbacks).map(|no| (no, call.clone(), false)).collect())
    }

    fn refetch(&mut self, job: No) -> Command {
        let fresh = (self.minted.jobs, self.minted.attempts);
        self.minted.jobs += 1;
        self.minted.attempts += 1;
        let failed = self.jobs.get(&job).is_some_and(|job| job.state == "failed");
        let named = self.attempts.iter().filter(|(_, attempt)| attempt.job == job && attempt.request_id.is_some());
        let Some((source, attempt)) = named.max_by_key(|(_, attempt)| attempt.number).filter(|_| failed) else {
            return Command::Nothing;
        };
        let run = self.run_of(attempt.request_id.as_ref().unwrap());
        match run.and_then(|(_, end)| end?.result()) {
            Some(body) => Command::Refetch { job, source: *source, body: Bytes::from_static(body), fresh },
            None => Command::Nothing,
        }
    }
}
