//! What the model makes of news of an attempt and of wishes: rulings.md, section A, written down a second time.

use super::model::{self, Attempt, Model, is_open};
use super::ops::No;
use super::steps::{Step, back_off, job_after, step};
use crate::settle::{AttemptOutcome, JobOutcome, Source};
use bytes::Bytes;
use domain::{AttemptEvent, Charged, ErrorClass, Failure, JobEvent, Late, OnUnknown};
use std::time::Duration;

/// News of an attempt, for the model and for the store.
#[derive(Clone, Debug)]
pub(super) struct News {
    pub(super) attempt: No,
    pub(super) event: Option<AttemptEvent>,
    pub(super) by: Speaker,
    pub(super) source: Source,
    pub(super) body: Option<Bytes>,
    pub(super) retry_after: Option<Duration>,
    pub(super) supersedes: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Speaker {
    /// Who brings evidence.
    Anyone,
    /// Who claimed the attempt, whether or not the claim still holds.
    Holder,
    /// Who read the attempt at this version.
    ReadAt(i32),
}

impl Model {
    pub(super) fn hear(&mut self, news: &News) -> AttemptOutcome {
        let Some(attempt) = self.attempts.get(&news.attempt) else { return AttemptOutcome::default() };
        let may_speak = match news.by {
            Speaker::Anyone => true,
            Speaker::Holder => attempt.state == "submitting",
            Speaker::ReadAt(version) => attempt.version == version && is_open(attempt.state),
        };
        if !may_speak {
            self.reached("a decision that came too late");
            return AttemptOutcome::default();
        }
        let Some(event) = &news.event else {
            return if news.supersedes { self.supersede(news.attempt) } else { AttemptOutcome::default() };
        };
        let said = event.request_id().map(|id| id.0.clone());
        let holder = said.as_ref().and_then(|said| self.bound.get(said)).map(|(holder, _)| *holder);
        let contradicts = match (&attempt.request_id, &said) {
            (Some(bound), Some(said)) => bound != said,
            (None, Some(_)) => holder.is_some_and(|holder| holder != news.attempt),
            (_, None) => false,
        };
        if contradicts {
            return AttemptOutcome { conflict: true, ..AttemptOutcome::default() };
        }
        let step = step(attempt, &self.jobs[&attempt.job], event);
        let job_was_over = model::has_ended(&self.jobs[&attempt.job]);
        let unbound = attempt.request_id.is_none();
        match step {
            Step::Contradiction => AttemptOutcome { conflict: true, ..AttemptOutcome::default() },
            Step::To(state, failure) => {
                let adopted = !is_open(attempt.state);
                self.bind(news, said);
                let job_changed = self.enter(news, state, failure);
                let late = match (state, adopted, job_was_over) {
                    ("succeeded", true, false) => Some(Late::Adopted),
                    ("succeeded", false, true) => Some(Late::SupersededOk),
                    _ => None,
                };
                self.note_money(news.attempt, late);
                AttemptOutcome { attempt_changed: true, job_changed, conflict: false, late }
            }
            Step::Name => {
                let news_of_name = unbound && said.is_some();
                if news_of_name {
                    self.attempt(news.attempt).version += 1;
                    self.bind(news, said);
                }
                AttemptOutcome { attempt_changed: news_of_name, ..AttemptOutcome::default() }
            }
            Step::LateOk => {
                if unbound {
                    self.attempt(news.attempt).version += 1;
                    self.bind(news, said);
                }
                let first = !self.attempts[&news.attempt].late_ok;
                let late = Some(Late::SupersededOk);
                self.note_money(news.attempt, late);
                AttemptOutcome { attempt_changed: unbound || first, late, ..AttemptOutcome::default() }
            }
        }
    }

    /// Policy `impatient`: once in a job's life another attempt may go beside an unknown one.
    fn supersede(&mut self, no: No) -> AttemptOutcome {
        let now = self.now;
        let attempt = &self.attempts[&no];
        let once = self.attempts.values().all(|other| other.job != attempt.job || !other.superseded);
        let job = &self.jobs[&attempt.job];
        let impatient = job.on_unknown == OnUnknown::Impatient && !job.cancel_armed && job.made < job.max;
        if !once || !impatient || attempt.state != "unknown" || job.state != "running" {
            return AttemptOutcome::default();
        }
        let attempt = self.attempt(no);
        attempt.superseded = true;
        attempt.version += 1;
        let job = attempt.job;
        let job = self.jobs.get_mut(&job).unwrap();
        job.state = "queued";
        job.version += 1;
        job.run_at = now;
        self.reached("an unknown attempt superseded");
        AttemptOutcome { attempt_changed: true, job_changed: true, ..AttemptOutcome::default() }
    }

    fn bind(&mut self, news: &News, said: Option<String>) {
        let now = self.now;
        let attempt = self.attempt(news.attempt);
        let (None, Some(said)) = (&attempt.request_id, said) else { return };
        attempt.request_id = Some(said.clone());
        attempt.bound_by = Some(match news.source {
            Source::Submit => "submit",
            Source::Callback => "callback",
            Source::Poll | Source::History => "history",
        });
        let owner = self.runs.keys().copied().find(|run| model::name_of(*run) == said);
        self.bound.insert(said, (news.attempt, now));
        // A callback for the address of another attempt takes the name from the one whose run it is.
        if let Some(owner) = owner.filter(|owner| *owner != news.attempt) {
            for no in [news.attempt, owner] {
                if let Some(attempt) = self.attempts.get_mut(&no) {
                    attempt.misled = true;
                }
            }
        }
    }

    /// Moves an attempt, and tells its job. Answers whether that moved the job.
    fn enter(&mut self, news: &News, state: &'static str, failure: Option<Failure>) -> bool {
        let now = self.now;
        let attempt = self.attempt(news.attempt);
        attempt.state = state;
        attempt.version += 1;
        attempt.failure = failure;
        if let ("succeeded", Some(body)) = (state, &news.body) {
            let from = if news.source == Source::Callback { "callback" } else { "poll" };
            attempt.result = Some((from, body.clone()));
        }
        let costs_no_try = failure
            .is_some_and(|f| [ErrorClass::NotSent, ErrorClass::RateLimited, ErrorClass::Credential].contains(&f.class));
        let (no, number, superseded) = (attempt.job, attempt.number, attempt.superseded);
        let job = self.jobs.get_mut(&no).unwrap();
        if costs_no_try && !model::has_ended(job) {
            job.made -= 1;
            self.attempt(news.attempt).counted = false;
        }
        let job = self.jobs.get_mut(&no).unwrap();
        let next = job_after(job, state, failure, superseded);
        let changed = next.is_some();
        if let Some(next) = next {
            job.state = next;
            job.version += 1;
            match next {
                "queued" => job.run_at = now + back_off(number, news.retry_after),
                "succeeded" => job.winner = Some(news.attempt),
                "failed" => job.failure = failure,
                _ => {}
            }
        }
        if model::has_ended(&self.jobs[&no]) {
            self.take_the_place_of_open_attempts(no);
        } else if self.jobs[&no].cancel_armed && is_open(state) {
            self.attempt(news.attempt).cancel_wanted = true;
        }
        changed
    }

    pub(super) fn take_the_place_of_open_attempts(&mut self, job: No) {
        for attempt in self.attempts.values_mut().filter(|attempt| attempt.job == job && is_open(attempt.state)) {
            attempt.version += i32::from(!attempt.superseded);
            attempt.superseded = true;
            attempt.cancel_wanted = true;
        }
    }

    fn note_money(&mut self, no: No, late: Option<Late>) {
        let attempt = self.attempt(no);
        let late_ok = late == Some(Late::SupersededOk);
        attempt.late_ok |= late_ok;
        let charged = attempt.failure.map(|failure| failure.charged);
        let line = match (charged, late_ok, attempt.state) {
            (Some(Charged::Yes), ..) => "charge",
            (_, true, _) => "superseded_charge",
            (_, _, "succeeded") => "charge",
            (Some(Charged::Perhaps), ..) => "possible_charge",
            _ => return,
        };
        attempt.lines.insert(line);
        match late {
            Some(Late::Adopted) => self.reached("a late result adopted"),
            Some(Late::SupersededOk) => self.reached("a late result of an ended job"),
            None => {}
        }
    }

    pub(super) fn wish(&mut self, no: No, event: &JobEvent) -> JobOutcome {
        let Some(job) = self.jobs.get_mut(&no) else { return JobOutcome::NotFound };
        let was = job.state;
        match (was, event) {
            ("scheduled", JobEvent::Due { .. }) => job.state = "queued",
            ("scheduled" | "queued", JobEvent::CancelRequested | JobEvent::UsefulUntilPassed) => job.state = "canceled",
            ("running", JobEvent::CancelRequested) if !job.cancel_armed => job.cancel_armed = true,
            _ => return JobOutcome::Unchanged { terminal: model::has_ended(job) },
        }
        job.version += 1;
        if matches!(event, JobEvent::Due { .. }) {
            job.run_at = self.now;
        }
        if job.state == "canceled" {
            self.take_the_place_of_open_attempts(no);
        }
        if was == "running" {
            for attempt in self.attempts.values_mut().filter(|attempt| attempt.job == no && is_open(attempt.state)) {
                attempt.cancel_wanted = true;
            }
        }
        JobOutcome::Changed
    }

    fn attempt(&mut self, no: No) -> &mut Attempt {
        self.attempts.get_mut(&no).unwrap()
    }
}

impl News {
    pub(super) fn of(attempt: No, event: Option<AttemptEvent>, source: Source) -> Self {
        Self { attempt, event, by: Speaker::Anyone, source, body: None, retry_after: None, supersedes: false }
    }
}
