//! Carries what `domain` decided into the locked rows, and notes history, result and money beside them.

use super::{
    AttemptNews, Source,
    decide::Before,
    load::{Aggregate, Loaded},
    record::{AttemptRecord, JobRecord, charged_name},
    write::{LedgerLine, NewResult, NewTransition},
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{Attempt, AttemptEvent, AttemptState, Charged, ErrorClass, Failure, JobState, Late, Recorded};
use failpoints::Bug;
use sha2::{Digest, Sha256};

/// Bytes of a gateway request id that are kept.
const GATEWAY_ID_MAX: usize = 255;

/// Writes into the attempt what came along with its news, whether or not they changed its state.
pub(super) fn extras(record: &mut AttemptRecord, news: &AttemptNews, now: DateTime<Utc>, changed: bool) {
    if record.gateway_request_id.is_none() {
        // Nothing hangs on it, so that one which Postgres cannot store is left out rather than fail the row.
        let storable = |id: &&String| id.len() <= GATEWAY_ID_MAX && !id.contains('\0');
        record.gateway_request_id = news.gateway_request_id.as_ref().filter(storable).cloned();
    }
    if !changed {
        // A callback that asked for a look while this one was under way is not overridden.
        let poked = record.next_look_at.is_some_and(|at| at <= now);
        if let Some(wait) = news.next_look
            && record.is_open()
            && !poked
        {
            record.next_look_at = Some(now + wait);
        }
        return;
    }
    if let Some(message) = &news.message {
        // Postgres stores no NUL in text, and a row that cannot be stored would be tried again for ever.
        record.error_message = Some(message.replace('\0', "\u{fffd}"));
    }
    if news.billable_units.is_some() {
        record.billable_units = news.billable_units;
    }
}

/// Notes who told us the request id, and when.
pub(super) fn binding(record: &mut AttemptRecord, source: Source, now: DateTime<Utc>) {
    // One that had ended only learns its name: it was sent long before.
    if record.finished_at.is_none() {
        record.submitted_at = Some(now);
    }
    let source = match source {
        Source::Submit => "submit",
        Source::Callback => "callback",
        Source::Poll | Source::History => "history",
    };
    record.bound_by = Some(source.to_owned());
}

/// Carries the new state of the attempt at `index`, its siblings and its job into their rows.
pub(super) fn all(loaded: &mut Loaded, news: &AttemptNews, index: usize, recorded: &Recorded, before: &Before) {
    let now = loaded.now;
    let Some(aggregate) = loaded.job_of.get(&news.attempt).and_then(|job| loaded.jobs.get_mut(job)) else {
        return;
    };
    let decided = aggregate.life.attempts[index].clone();
    attempt(&mut aggregate.attempts[index], &decided, news, recorded.late, before, now);
    if let (AttemptState::Succeeded { .. }, Some(AttemptEvent::ResultOk(_)), Some(body)) =
        (&decided.state, &news.event, &news.result)
    {
        let body = if failpoints::seeded(Bug::ReserializedResult) { &written_anew(body) } else { body };
        let record = &mut aggregate.attempts[index];
        let by_callback = news.source == Source::Callback;
        record.result_from = Some(if by_callback { "callback" } else { "poll" }.to_owned());
        let sha256 = Sha256::digest(body).to_vec();
        loaded.results.insert(news.attempt, (sha256.clone(), body.to_vec()));
        loaded.writes.results.push(NewResult { job: record.job, attempt: record.id, body: body.clone(), sha256 });
        // Of what somebody else sent nobody knows when that was, nor whether its callback was to come here at all.
        let tells_of_pace = record.is_ours();
        loaded.writes.effects.found_by_look += usize::from(!by_callback && tells_of_pace);
        // A callback that overtook the note of our submit says nothing of when that was; the claim is close to it.
        let since = if before.unbound { Some(record.claimed_at) } else { record.submitted_at };
        if let (true, Some(since)) = (by_callback && tells_of_pace, since) {
            let took = (now - since).num_milliseconds().unsigned_abs();
            loaded.writes.effects.latencies.push((aggregate.job.model.clone(), took));
        }
    }
    let record = &aggregate.attempts[index];
    loaded.writes.ledger.extend(ledger_line(record, &aggregate.job, recorded.late));
    if recorded.job_changed {
        job(aggregate, Some(index), now);
    }
    aggregate.job.attempts_made = i16::try_from(aggregate.life.job.attempts_made).unwrap_or(i16::MAX);
    loaded.writes.transitions.push(transition(aggregate, news, index, recorded, before));
    others(aggregate, recorded, now, Some(index), &mut loaded.writes.transitions);
}

/// Notes a good result that came when its job had ended, of an attempt that stays as it is: paid, nothing else. Answers
/// whether it was news.
pub(super) fn superseded_ok(loaded: &mut Loaded, news: &AttemptNews, index: usize) -> bool {
    let now = loaded.now;
    let Some(aggregate) = loaded.job_of.get(&news.attempt).and_then(|job| loaded.jobs.get_mut(job)) else {
        return false;
    };
    let record = &mut aggregate.attempts[index];
    if record.superseded_ok_at.is_some() {
        return false;
    }
    record.superseded_ok_at = Some(now);
    record.billable_units = news.billable_units.or(record.billable_units);
    loaded.writes.ledger.extend(ledger_line(record, &aggregate.job, Some(Late::SupersededOk)));
    true
}

/// Carries the decided state of the job into its row. `by` is the attempt whose news moved it.
pub(super) fn job(aggregate: &mut Aggregate, by: Option<usize>, now: DateTime<Utc>) {
    let decided = &aggregate.life.job;
    let record = &mut aggregate.job;
    decided.state.as_str().clone_into(&mut record.state);
    record.version = decided.version;
    if decided.cancel_armed && record.cancel_requested_at.is_none() {
        record.cancel_requested_at = Some(now);
    }
    match &decided.state {
        JobState::Scheduled { run_at } | JobState::Queued { run_at } => record.run_at = *run_at,
        JobState::Held | JobState::Running => {}
        JobState::Succeeded => {
            record.winner = by.map(|index| aggregate.attempts[index].id);
            record.finished_at = Some(now);
        }
        JobState::Failed(failure) => {
            record.finished_at = Some(now);
            record.error_class = Some(failure.class.as_str().to_owned());
            record.error_charged = Some(charged_name(failure.charged).to_owned());
            record.error_message = by.and_then(|index| aggregate.attempts[index].error_message.clone());
        }
        JobState::Canceled => record.finished_at = Some(now),
    }
}

/// Carries what an event did to the other attempts: superseded, and to be cancelled at fal.
pub(super) fn others(
    aggregate: &mut Aggregate,
    recorded: &Recorded,
    now: DateTime<Utc>,
    but: Option<usize>,
    transitions: &mut Vec<NewTransition>,
) {
    for (index, decided) in aggregate.life.attempts.iter().enumerate() {
        let record = &mut aggregate.attempts[index];
        if Some(index) != but && record.version != decided.version {
            record.version = decided.version;
            record.superseded_at = record.superseded_at.or(Some(now));
            transitions.push(NewTransition {
                job: record.job,
                attempt_number: record.number,
                version: record.version,
                event: "superseded",
                attempt_from: Some(record.state.clone()),
                attempt_to: Some(record.state.clone()),
                job_from: None,
                job_to: None,
                job_version: None,
                detail: None,
            });
        }
        if recorded.cancel_at_fal.contains(&record.id) && record.is_open() {
            record.cancel_requested_at = record.cancel_requested_at.or(Some(now));
            record.look_at_once(now);
        }
    }
}

fn attempt(
    record: &mut AttemptRecord,
    decided: &Attempt,
    news: &AttemptNews,
    late: Option<Late>,
    before: &Before,
    now: DateTime<Utc>,
) {
    let poked = before.attempt != "submitting" && record.next_look_at.is_some_and(|at| at <= now);
    decided.state.as_str().clone_into(&mut record.state);
    record.version = decided.version;
    record.counted = decided.counted;
    record.request_id = decided.request_id.clone().map(|id| id.0);
    if decided.superseded && record.superseded_at.is_none() {
        record.superseded_at = Some(now);
    }
    if late == Some(Late::SupersededOk) {
        record.superseded_ok_at = record.superseded_ok_at.or(Some(now));
    }
    match &decided.state {
        AttemptState::Submitting | AttemptState::Unknown | AttemptState::Submitted { .. } => {
            // A callback that could not be applied asked for a look as soon as there is a request id to look for.
            let at_once = poked || record.candidate_request_id.is_some();
            let wait = if at_once { None } else { news.next_look };
            record.next_look_at = Some(wait.map_or(now, |wait| now + wait));
        }
        AttemptState::Succeeded { .. } => end(record, None, now),
        AttemptState::Failed(failure) => end(record, Some(*failure), now),
        AttemptState::Canceled { charged } => end(record, Some(failure(ErrorClass::Canceled, *charged)), now),
        AttemptState::Abandoned => end(record, Some(failure(ErrorClass::Abandoned, Charged::Perhaps)), now),
        AttemptState::Expired => end(record, Some(failure(ErrorClass::ResultExpired, Charged::Yes)), now),
    }
}

fn end(record: &mut AttemptRecord, failure: Option<Failure>, now: DateTime<Utc>) {
    // A result that is adopted ends the attempt after all, later than its being given up.
    record.finished_at = record.finished_at.filter(|_| failure.is_some()).or(Some(now));
    record.next_look_at = None;
    record.error_class = failure.map(|failure| failure.class.as_str().to_owned());
    record.charged = failure.map(|failure| charged_name(failure.charged).to_owned());
    if failure.is_none() {
        record.error_message = None;
    }
}

const fn failure(class: ErrorClass, charged: Charged) -> Failure {
    Failure { class, charged }
}

fn transition(
    aggregate: &Aggregate,
    news: &AttemptNews,
    index: usize,
    recorded: &Recorded,
    before: &Before,
) -> NewTransition {
    let record = &aggregate.attempts[index];
    let moved = recorded.job_changed;
    NewTransition {
        job: record.job,
        attempt_number: record.number,
        version: record.version,
        event: news.event.as_ref().map_or("superseded", AttemptEvent::name),
        attempt_from: Some(before.attempt.clone()),
        attempt_to: Some(record.state.clone()),
        job_from: moved.then(|| before.job.clone()),
        job_to: moved.then(|| aggregate.job.state.clone()),
        job_version: moved.then_some(aggregate.job.version),
        detail: match (&record.error_class, news.message.as_ref().map(|message| message.replace('\0', "\u{fffd}"))) {
            (Some(class), Some(message)) => Some(format!("{class}: {message}")),
            (Some(class), None) => Some(class.clone()),
            (None, message) => message,
        },
    }
}

/// A seeded bug: what a parser makes of a result.
fn written_anew(body: &Bytes) -> Bytes {
    let parsed = serde_json::from_slice::<serde_json::Value>(body);
    parsed.map_or_else(|_| body.clone(), |value| value.to_string().into())
}

/// The line of money for an attempt that ended, where fal bills it or may.
fn ledger_line(record: &AttemptRecord, job: &JobRecord, late: Option<Late>) -> Option<LedgerLine> {
    let kind = match (record.state.as_str(), record.charged.as_deref(), late) {
        _ if failpoints::seeded(Bug::NoLedgerLine) => return None,
        ("failed", Some("no"), _) if failpoints::seeded(Bug::ChargesForNothing) => "charge",
        // Its line was written when it ended; a result that comes after all costs nothing more.
        (_, Some("yes"), _) => "charge",
        (_, _, Some(Late::SupersededOk)) => "superseded_charge",
        ("succeeded", _, _) => "charge",
        (_, Some("perhaps"), _) => "possible_charge",
        _ => return None,
    };
    Some(LedgerLine {
        job: record.job,
        attempt: record.id,
        kind,
        units: record.billable_units,
        model: job.model.clone(),
        estimated: job.estimated,
    })
}
