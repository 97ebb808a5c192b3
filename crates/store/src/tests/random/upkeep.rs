//! The model's side of what comes by itself or by an operator: looks that are due, sweeps, refetches, retention.

use super::model::{Attempt, Held, Job, Model, Stage, TIMEOUTS, has_ended, is_open, millis};
use super::ops::No;
use crate::settle::ResolveOutcome;
use domain::{Charged, ErrorClass, Failure, JobEvent, OnUnknown, Resolution, Unresolvable};
use std::collections::BTreeMap;

/// Milliseconds from the start of a case to the end of its week's partition, and how long jobs are kept after that.
pub(super) const WEEK_ENDS: i64 = 6 * 86_400_000;
pub(super) const KEEP_JOBS_DAYS: i64 = 3;
pub(super) const KEEP_BINDINGS_DAYS: i64 = 10;
const DAY: i64 = 86_400_000;

impl Model {
    /// How an attempt looks to a reconciler that takes it now; nothing where it may not be taken.
    pub(super) fn due(&self, no: No) -> Option<Held> {
        let attempt = self.attempts.get(&no).filter(|_| self.may_be_due(no))?;
        Some(Held {
            at: self.now,
            version: attempt.version,
            stage: match (attempt.state, &attempt.request_id) {
                ("submitting", _) => Stage::LeaseRanOut,
                (_, Some(name)) => Stage::Submitted(name.clone()),
                (_, None) => Stage::Unknown(attempt.candidate.clone()),
            },
            cancel_wanted: attempt.cancel_wanted,
            superseded: attempt.superseded,
        })
    }

    pub(super) fn take(&mut self, taken: &BTreeMap<No, Held>) -> Result<(), String> {
        for (no, held) in taken {
            let expected = self.due(*no);
            if expected.as_ref() != Some(held) {
                return Err(format!("attempt {no} taken as {held:?} instead of {expected:?}"));
            }
            self.held.insert(*no, held.clone());
        }
        Ok(())
    }

    pub(super) fn sweep(&mut self) {
        let due = |job: &Job| job.state == "scheduled" && job.run_at <= self.now;
        let useless = |job: &Job| {
            ["scheduled", "queued"].contains(&job.state) && job.useful_until.is_some_and(|until| until <= self.now)
        };
        let due: Vec<No> = self.jobs.iter().filter(|(_, job)| due(job)).map(|(no, _)| *no).collect();
        let useless: Vec<No> = self.jobs.iter().filter(|(_, job)| useless(job)).map(|(no, _)| *no).collect();
        for no in due {
            self.wish(no, &JobEvent::Due { at: chrono::DateTime::UNIX_EPOCH });
            self.reached("a job became due");
        }
        for no in useless {
            self.wish(no, &JobEvent::UsefulUntilPassed);
            self.reached("a job became useless");
        }
    }

    /// A person gives up the unknown attempt for which the job waits, and has the job sent again or ended.
    pub(super) fn decided(&mut self, no: No, how: Resolution) -> ResolveOutcome {
        let Some(job) = self.jobs.get(&no) else { return ResolveOutcome::NotFound };
        let mut attempts = self.attempts.iter().filter(|(_, attempt)| attempt.job == no && !attempt.superseded);
        let unknown = attempts.find(|(_, attempt)| attempt.state == "unknown").map(|(unknown, _)| *unknown);
        let refused = |why| ResolveOutcome::Refused(why);
        let unknown = match (how, unknown) {
            _ if has_ended(job) => return refused(Unresolvable::JobEnded),
            (_, None) => return refused(Unresolvable::NothingUnknown),
            (Resolution::Resubmit, _) if job.on_unknown != OnUnknown::Operator => {
                return refused(Unresolvable::PolicyDecides(job.on_unknown));
            }
            (Resolution::Resubmit, _) if job.cancel_armed => return refused(Unresolvable::CancelArmed),
            (Resolution::Resubmit, _) if job.made >= job.max => return refused(Unresolvable::AttemptsUsedUp),
            (_, Some(unknown)) => unknown,
        };
        let failure = Some(Failure { class: ErrorClass::Abandoned, charged: Charged::Perhaps });
        let attempt = self.attempts.get_mut(&unknown).unwrap();
        (attempt.state, attempt.failure, attempt.version) = ("abandoned", failure, attempt.version + 1);
        attempt.lines.insert("possible_charge");
        attempt.resubmitted = how == Resolution::Resubmit;
        let now = self.now;
        let job = self.jobs.get_mut(&no).unwrap();
        job.version += 1;
        match how {
            Resolution::Resubmit => (job.state, job.run_at) = ("queued", now),
            Resolution::GiveUp if job.cancel_armed => job.state = "canceled",
            Resolution::GiveUp => (job.state, job.failure) = ("failed", failure),
        }
        if how == Resolution::GiveUp {
            self.take_the_place_of_open_attempts(no);
        }
        self.reached(if how == Resolution::Resubmit { "a person resubmits" } else { "a person gives up" });
        ResolveOutcome::Done
    }

    pub(super) fn refetched(&mut self, no: No, source: No, body: &bytes::Bytes, fresh: (No, No)) -> No {
        let job = self.jobs.get_mut(&no).unwrap();
        if let Some(earlier) = job.refetched_as {
            return earlier;
        }
        job.refetched_as = Some(fresh.0);
        let state = "succeeded";
        let job = Job {
            state,
            version: 1,
            opened: 1,
            made: 0,
            winner: Some(fresh.1),
            failure: None,
            refetched_as: None,
            cancel_armed: false,
            ..job.clone()
        };
        self.jobs.insert(fresh.0, job);
        let source = &self.attempts[&source];
        let copy = Attempt {
            job: fresh.0,
            number: 1,
            state,
            version: 1,
            counted: false,
            superseded: false,
            late_ok: false,
            candidate: None,
            cancel_wanted: false,
            failure: None,
            claimed_at: self.now,
            result: Some(("refetch", body.clone())),
            lines: std::collections::BTreeSet::new(),
            reply: None,
            ..source.clone()
        };
        self.attempts.insert(fresh.1, copy);
        self.attempts_made = self.attempts_made.max(fresh.1 + 1);
        self.reached("a result refetched");
        fresh.0
    }

    /// Drops the week once it is old and nothing of it is open. Answers whether it did.
    pub(super) fn retain(&mut self) -> bool {
        let over = self.jobs.values().all(has_ended) && self.now - WEEK_ENDS > KEEP_JOBS_DAYS * DAY;
        if over {
            self.jobs.clear();
            self.attempts.clear();
            self.reached("a week dropped");
        }
        if self.now > (1 + KEEP_JOBS_DAYS) * DAY {
            self.callbacks.clear();
        }
        let kept =
            |holder: No, at: i64| self.attempts.contains_key(&holder) || self.now - at < KEEP_BINDINGS_DAYS * DAY;
        let gone: Vec<String> =
            self.bound.iter().filter(|(_, (holder, at))| !kept(*holder, *at)).map(|(name, _)| name.clone()).collect();
        for name in gone {
            self.bound.remove(&name);
        }
        over
    }

    /// Open attempts that a reconciler may take: while it is being submitted, only once the lease has run out.
    pub(super) fn may_be_due(&self, no: No) -> bool {
        self.attempts.get(&no).is_some_and(|attempt| {
            is_open(attempt.state)
                && (attempt.state != "submitting" || attempt.claimed_at + millis(TIMEOUTS.lease) <= self.now)
        })
    }
}
