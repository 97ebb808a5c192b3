//! Lets `domain` decide one entry, if whoever brings it may.

use super::{
    AttemptNews, AttemptOutcome, Entry, Guard, JobNews, JobOutcome, Settled, Source, callback, carry,
    load::{Aggregate, Loaded},
    resolve, seeded,
    write::{NewBinding, NewTransition},
};
use crate::circuits::{Opening, Trouble};
use domain::{AttemptEvent, ErrorClass, Late, Recorded, RetryPolicy, lifecycle::Circumstances};

/// Decides one entry. What it changes is in `loaded` until the batch is written.
pub(super) fn decide(loaded: &mut Loaded, retry: RetryPolicy, entry: &Entry) -> Settled {
    match entry {
        Entry::Attempt(news) => Settled::Attempt(attempt(loaded, retry, news)),
        Entry::Callback(news) => Settled::Callback(callback::decide(loaded, retry, news)),
        Entry::Job(news) => Settled::Job(job(loaded, news)),
        Entry::Resolve(news) => Settled::Resolved(resolve::decide(loaded, retry, news)),
    }
}

/// Applies news of an attempt, if whoever brings them may.
pub(super) fn attempt(loaded: &mut Loaded, retry: RetryPolicy, news: &AttemptNews) -> AttemptOutcome {
    if let Some(trouble) = &news.trouble {
        // Postgres stores no NUL in text.
        let trouble = Trouble { cause: trouble.cause.replace('\0', "\u{fffd}"), ..trouble.clone() };
        loaded.writes.troubles.push(Opening { trouble, asked: news.retry_after.unwrap_or_default() });
    }
    let now = loaded.now;
    let Some(aggregate) = loaded.job_of.get(&news.attempt).and_then(|job| loaded.jobs.get_mut(job)) else {
        return AttemptOutcome::default();
    };
    let Some(index) = aggregate.attempts.iter().position(|record| record.id == news.attempt) else {
        return AttemptOutcome::default();
    };
    let record = &aggregate.attempts[index];
    let may_speak = match news.guard {
        Guard::Evidence => true,
        Guard::Lease { fence } => record.state == "submitting" && record.fence == fence,
        Guard::Version(version) => record.version == version && record.is_open(),
    };
    if !may_speak {
        return AttemptOutcome::default();
    }
    let key = news.event.as_ref().and_then(AttemptEvent::request_id).map(|id| (record.credential, id.clone()));
    if let Some(key) = &key
        && loaded.bound.get(key).is_some_and(|holder| *holder != news.attempt)
    {
        return AttemptOutcome { conflict: true, ..AttemptOutcome::default() };
    }
    let around = Circumstances { now, retry, retry_after: news.retry_after, dice: dice(news) };
    let before = Before::of(aggregate, index);
    seeded::forget_end(aggregate, index, news);
    let recorded = match &news.event {
        Some(event) => aggregate.life.record(news.attempt, event, &around),
        None if news.supersede_unknown => aggregate.life.supersede_unknown(news.attempt, &around),
        None => Recorded::default(),
    };
    carry::extras(&mut aggregate.attempts[index], news, now, recorded.attempt_changed);
    if news.source == Source::Submit && proves_service(news) {
        // Also where a callback overtook the answer, or the answer was about the input: fal takes the key and the model.
        let credential = aggregate.attempts[index].credential;
        loaded.writes.accepted.insert((credential, aggregate.job.model.clone()));
    }
    if recorded.attempt_changed {
        if let Some((credential, request_id)) = key
            && before.unbound
        {
            carry::binding(&mut aggregate.attempts[index], news.source, now);
            let (attempt, job) = (news.attempt, aggregate.job.id);
            loaded.writes.bindings.push(NewBinding { credential, request_id: request_id.0.clone(), attempt, job });
            loaded.bound.insert((credential, request_id), attempt);
        }
        carry::all(loaded, news, index, &recorded, &before);
    }
    let noted = !recorded.attempt_changed
        && recorded.late == Some(Late::SupersededOk)
        && carry::superseded_ok(loaded, news, index);
    AttemptOutcome {
        attempt_changed: recorded.attempt_changed || noted,
        job_changed: recorded.job_changed,
        conflict: recorded.conflict,
        late: recorded.late,
    }
}

/// Whether fal's answer to a submit shows that it serves the key and the model.
fn proves_service(news: &AttemptNews) -> bool {
    match &news.event {
        Some(AttemptEvent::Bound(_)) => true,
        // An unknown model may have been refused before the key was looked at.
        Some(AttemptEvent::Refused(failure)) => news.trouble.is_none() && failure.class != ErrorClass::UnknownModel,
        _ => false,
    }
}

fn job(loaded: &mut Loaded, news: &JobNews) -> JobOutcome {
    let now = loaded.now;
    let Some(aggregate) = loaded.jobs.get_mut(&news.job) else {
        return JobOutcome::NotFound;
    };
    if news.project.is_some_and(|project| project != aggregate.job.project) {
        return JobOutcome::NotFound;
    }
    let from = aggregate.job.state.clone();
    let recorded = aggregate.life.record_job(&news.event);
    if !recorded.job_changed {
        return JobOutcome::Unchanged { terminal: aggregate.life.job.state.is_terminal() };
    }
    let job = aggregate.job.id;
    carry::job(aggregate, None, now);
    loaded.writes.transitions.push(NewTransition {
        job,
        attempt_number: 0,
        version: aggregate.job.version,
        event: news.event.name(),
        attempt_from: None,
        attempt_to: None,
        job_from: Some(from),
        job_to: Some(aggregate.job.state.clone()),
        job_version: Some(aggregate.job.version),
        detail: None,
    });
    carry::others(aggregate, &recorded, now, None, &mut loaded.writes.transitions);
    JobOutcome::Changed
}

/// How things stood before the event.
pub(super) struct Before {
    pub(super) attempt: String,
    pub(super) job: String,
    pub(super) unbound: bool,
}

impl Before {
    pub(super) fn of(aggregate: &Aggregate, index: usize) -> Self {
        let record = &aggregate.attempts[index];
        Self { attempt: record.state.clone(), job: aggregate.job.state.clone(), unbound: record.request_id.is_none() }
    }
}

/// A number from 0 to 1 that differs between attempts and between their tries, so that back-off spreads. Nothing secret
/// hangs on it, so it is taken from the random part of the id.
fn dice(news: &AttemptNews) -> f64 {
    let [.., a, b, c, d] = *news.attempt.0.as_bytes();
    let random = u32::from_be_bytes([a, b, c, d]);
    f64::from(random) / f64::from(u32::MAX)
}
