//! The end of a case: fal answers everything, and then nothing may be lost.

use super::case::{Case, wait_for};
use super::facts::difference;
use super::invariants;
use super::model::{has_ended, is_open};
use super::ops::{End, No, Op, Reply, Sight, Twist};
use domain::OnUnknown;

impl Case {
    /// Lets fal answer, call back and be looked at until every job has ended that waits for no person.
    pub(super) fn heal(&mut self) {
        self.run(&Op::Repin { known: true });
        self.go_on();
        self.end_all_runs();
        // What fal made is told of at last, wanted or not.
        let ended = self.model.runs.iter().filter(|(no, end)| end.is_some() && self.model.attempts.contains_key(no));
        for attempt in ended.map(|(no, _)| *no).collect::<Vec<_>>() {
            self.run(&Op::Call { attempt, twist: Twist::Plain, copies: 1 });
        }
        // That may have ended a job that waited for a person.
        self.go_on();
    }

    fn go_on(&mut self) {
        const ROUNDS_MAX: usize = 60;
        for _ in 0..ROUNDS_MAX {
            if self.is_late || self.is_drained() {
                break;
            }
            self.run(&Op::Sweep);
            if self.model.jobs.values().any(|job| job.state == "queued" && job.run_at <= self.model.now) {
                self.run(&Op::Claim { room: 20, places: 100 });
            }
            let to_post: Vec<No> = self.model.attempts.keys().copied().filter(|no| self.model.may_post(*no)).collect();
            for attempt in &to_post {
                self.run(&Op::Post { attempt: *attempt, reply: Reply::Takes });
            }
            for attempt in to_post {
                self.run(&Op::Record { attempt });
            }
            self.end_all_runs();
            if self.model.attempts.keys().any(|no| self.model.may_be_due(*no)) {
                self.run(&Op::Due);
            }
            for attempt in self.model.held.keys().copied().collect::<Vec<_>>() {
                self.run(&Op::Look { attempt, sight: Sight::Truth });
            }
            self.run(&Op::Wait { seconds: 4_300 });
        }
    }

    /// Superseded attempts outlive their jobs.
    fn is_drained(&self) -> bool {
        let mut jobs = self.model.jobs.iter();
        let mut attempts = self.model.attempts.values();
        jobs.all(|(no, job)| has_ended(job) || self.waits_for_a_person(*no))
            && attempts.all(|attempt| !is_open(attempt.state) || self.waits_for_a_person(attempt.job))
    }

    fn end_all_runs(&mut self) {
        let running: Vec<No> = self.model.runs.iter().filter(|(_, end)| end.is_none()).map(|(no, _)| *no).collect();
        for run in running {
            self.run(&Op::Finish { run, end: End::Ok(0) });
        }
    }

    /// By policy `operator`, nothing but a person or fal ends a job of whose attempt nobody knows.
    fn waits_for_a_person(&self, no: No) -> bool {
        let job = &self.model.jobs[&no];
        job.on_unknown == OnUnknown::Operator
            && !has_ended(job)
            && self.model.attempts.values().any(|attempt| attempt.job == no && attempt.state == "unknown")
    }

    /// After the drain: every job has ended, every result that fal made and told of is paid for in one line, and every
    /// invariant holds.
    pub(super) fn nothing_is_lost(&self) {
        if self.is_late {
            return;
        }
        for (no, job) in &self.model.jobs {
            let of_job: Vec<_> = self.model.attempts.iter().filter(|(_, attempt)| attempt.job == *no).collect();
            assert!(has_ended(job) || self.waits_for_a_person(*no), "job {no} never ended: {job:?} {of_job:?}");
        }
        for (no, attempt) in self.model.attempts.iter().filter(|(_, attempt)| !attempt.misled) {
            assert!(
                !is_open(attempt.state) || self.waits_for_a_person(attempt.job),
                "attempt {no} never ended: {attempt:?} of {:?}",
                self.model.jobs[&attempt.job]
            );
            if let Some(Some(End::Ok(_))) = self.model.runs.get(no) {
                let lines = attempt.lines.iter().filter(|line| **line != "possible_charge").count();
                assert_eq!(lines, 1, "attempt {no} was paid for: {attempt:?}");
            }
        }
        let facts = wait_for(self.system.facts());
        assert_eq!(difference(&self.model.facts(), &facts), "", "after the drain");
        wait_for(invariants::hold(&self.system.pool));
    }

    /// Callbacks that were applied come again, all of them, and nothing moves.
    pub(super) fn repeats_change_nothing(&mut self) {
        let applied = self.model.callbacks.iter().filter(|(_, call)| call.disposition.0 == "applied");
        let applied: Vec<No> = applied.map(|(no, _)| *no).collect();
        let before = self.model.facts();
        for callback in applied {
            self.run(&Op::Reprocess { callback });
        }
        if !self.is_late {
            let after = wait_for(self.system.facts());
            assert_eq!(difference(&before, &after), "", "repeats changed something");
        }
    }
}
