//! What a genuine callback may do. The token routed it and the signature proved that fal sent it; here the user id proves
//! for whom, and the request id which run it speaks of.

use super::{AttemptNews, CallbackNews, Guard, Said, Source, decide, load::Loaded, record::AttemptRecord};
use domain::{AttemptEvent, ErrorClass, RetryPolicy};
use failpoints::Bug;
use sha2::{Digest, Sha256};

/// What became of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It changed something, or told us what we were about to learn.
    Applied,
    /// It says what is recorded already.
    Duplicate,
    /// Stored and not applied; fal is asked instead.
    Kept(KeptCause),
    /// Not ours to apply.
    Rejected(RejectedCause),
}

/// Why a genuine callback was not applied. The names are part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptCause {
    /// Signed too long ago, or too far ahead.
    StaleStamp,
    /// fal says OK and sends no result.
    NullPayload,
    /// It contradicts an earlier one.
    Conflict,
    /// No such attempt is known here: another database, or a restored one.
    UnknownAttempt,
    /// Whose account fal signed for is not known yet, and fal had not told us this request id.
    UserUnpinned,
    /// The body is not what fal sends: not JSON, too deep, or without its parts.
    UnreadableBody,
    /// A status that is neither OK nor ERROR.
    UnknownStatus,
    /// The run was stopped, and nobody had wished the job's end. Whether we had asked fal to, since it ran too long, shows
    /// at the next look.
    UnaskedCancel,
}

/// Why a callback was turned away. The names are part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectedCause {
    /// Signed by fal for another account.
    WrongUser,
    /// The request id belongs to another attempt, or the attempt to another request id.
    WrongRequest,
    Signature,
    Headers,
    TooLarge,
    MediaType,
}

impl KeptCause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StaleStamp => "stale_stamp",
            Self::NullPayload => "null_payload",
            Self::Conflict => "conflict",
            Self::UnknownAttempt => "unknown_attempt",
            Self::UserUnpinned => "user_unpinned",
            Self::UnreadableBody => "unreadable_body",
            Self::UnknownStatus => "unknown_status",
            Self::UnaskedCancel => "unasked_cancel",
        }
    }
}

impl RejectedCause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongUser => "wrong_user",
            Self::WrongRequest => "wrong_request",
            Self::Signature => "signature",
            Self::Headers => "headers",
            Self::TooLarge => "too_large",
            Self::MediaType => "media_type",
        }
    }
}

impl Disposition {
    /// The name in SQL and in the API, and the cause where there is one.
    pub const fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Applied => ("applied", None),
            Self::Duplicate => ("duplicate", None),
            Self::Kept(cause) => ("kept", Some(cause.as_str())),
            Self::Rejected(cause) => ("rejected", Some(cause.as_str())),
        }
    }
}

/// Decides what a callback does, and notes it for the table of callbacks.
pub(super) fn decide(loaded: &mut Loaded, retry: RetryPolicy, news: &CallbackNews) -> Disposition {
    let disposition = judge(loaded, retry, news);
    if let Disposition::Kept(_) = disposition {
        ask_fal_at_once(loaded, news);
    }
    let job = loaded.job_of.get(&news.attempt).copied();
    loaded.writes.callbacks.push((news.clone(), job, disposition));
    disposition
}

fn judge(loaded: &mut Loaded, retry: RetryPolicy, news: &CallbackNews) -> Disposition {
    let pinned = loaded.user_ids.get(&news.credential);
    if pinned.is_some_and(|user_id| *user_id != news.user_id) && !failpoints::seeded(Bug::NoUserCheck) {
        return Disposition::Rejected(RejectedCause::WrongUser);
    }
    let unpinned = pinned.is_none();
    let holder = loaded.bound.get(&(news.credential, news.request_id.clone())).copied();
    let Some(record) = record(loaded, news) else {
        return Disposition::Kept(KeptCause::UnknownAttempt);
    };
    match &record.request_id {
        Some(bound) if *bound != news.request_id.0 => return other_request(record),
        Some(_) => {}
        None if holder.is_some_and(|holder| holder != news.attempt) => return other_request(record),
        None if unpinned => {
            record.candidate_request_id = Some(news.request_id.0.clone());
            return Disposition::Kept(KeptCause::UserUnpinned);
        }
        None => {}
    }
    // Repeats of one callback are one witness: the first of them ends the attempt.
    if unpinned && record.is_open() && record.bound_by.as_deref() == Some("submit") {
        *loaded.writes.witnesses.entry((news.credential, news.user_id.clone())).or_default() += 1;
    }
    let age = loaded.now.timestamp().abs_diff(news.signed_at);
    if age > news.leeway.as_secs() && !news.again {
        return keep(loaded, retry, news, KeptCause::StaleStamp);
    }
    match &news.said {
        Said::Unusable(cause) => keep(loaded, retry, news, *cause),
        Said::Ok(payload) => {
            let event = AttemptEvent::ResultOk(news.request_id.clone());
            let told = AttemptNews { result: Some(payload.clone()), ..told(news, event) };
            applied_or_repeated(loaded, retry, news, &told)
        }
        Said::Error { failure, .. } if failure.class == ErrorClass::Canceled && is_unasked(loaded, news) => {
            keep(loaded, retry, news, KeptCause::UnaskedCancel)
        }
        Said::Error { failure, message } => {
            let event = AttemptEvent::ResultError(news.request_id.clone(), *failure);
            let told = AttemptNews { message: Some(message.clone()), ..told(news, event) };
            applied_or_repeated(loaded, retry, news, &told)
        }
    }
}

/// Falconer sends each attempt once, so that another request at its address is not its own. Somebody who was given the
/// address may use it twice: that is a contradiction that people should see, and that fal need not repeat.
fn other_request(record: &AttemptRecord) -> Disposition {
    if record.is_ours() {
        Disposition::Rejected(RejectedCause::WrongRequest)
    } else {
        Disposition::Kept(KeptCause::Conflict)
    }
}

/// Whether the attempt is under way and nobody has asked that it or its job should end.
fn is_unasked(loaded: &Loaded, news: &CallbackNews) -> bool {
    let job = loaded.job_of.get(&news.attempt).and_then(|job| loaded.jobs.get(job));
    job.is_some_and(|aggregate| {
        let asked = |record: &AttemptRecord| record.cancel_requested_at.is_some() || !record.is_open();
        aggregate.job.cancel_requested_at.is_none()
            && aggregate.attempts.iter().any(|record| record.id == news.attempt && !asked(record))
    })
}

/// Binds the request id that the callback names, which is proved by its signature, and leaves the rest to a look.
fn keep(loaded: &mut Loaded, retry: RetryPolicy, news: &CallbackNews, cause: KeptCause) -> Disposition {
    decide::attempt(loaded, retry, &told(news, AttemptEvent::Bound(news.request_id.clone())));
    Disposition::Kept(cause)
}

fn applied_or_repeated(
    loaded: &mut Loaded,
    retry: RetryPolicy,
    news: &CallbackNews,
    told: &AttemptNews,
) -> Disposition {
    let outcome = decide::attempt(loaded, retry, told);
    if outcome.conflict {
        return Disposition::Kept(KeptCause::Conflict);
    }
    if outcome.attempt_changed {
        return Disposition::Applied;
    }
    match (&told.result, loaded.results.get(&news.attempt)) {
        (Some(payload), Some(stored)) if !same_value(payload, stored) => Disposition::Kept(KeptCause::Conflict),
        _ => Disposition::Duplicate,
    }
}

/// Whether two results say the same. White space is no difference.
fn same_value(payload: &[u8], (stored_sha256, stored): &(Vec<u8>, Vec<u8>)) -> bool {
    if Sha256::digest(payload).as_slice() == stored_sha256 {
        return true;
    }
    let parse = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    matches!((parse(payload), parse(stored)), (Some(one), Some(other)) if one == other)
}

/// Has the reconciler look now, where there is still something to learn.
fn ask_fal_at_once(loaded: &mut Loaded, news: &CallbackNews) {
    let now = loaded.now;
    if let Some(record) = record(loaded, news) {
        record.look_at_once(now);
    }
}

fn told(news: &CallbackNews, event: AttemptEvent) -> AttemptNews {
    AttemptNews {
        gateway_request_id: news.gateway_request_id.clone(),
        ..AttemptNews::of(news.attempt, Some(event), Guard::Evidence, Source::Callback)
    }
}

fn record<'a>(loaded: &'a mut Loaded, news: &CallbackNews) -> Option<&'a mut AttemptRecord> {
    let aggregate = loaded.jobs.get_mut(loaded.job_of.get(&news.attempt)?)?;
    aggregate.attempts.iter_mut().find(|record| record.id == news.attempt && record.credential == news.credential)
}
