//! What can be settled.

use crate::circuits::Trouble;
use bytes::Bytes;
use domain::{
    AttemptEvent, AttemptId, CallbackId, CredentialId, Failure, JobEvent, JobId, KeyId, ProjectId, RequestId,
    Resolution,
};
use rust_decimal::Decimal;
use std::time::Duration;

use super::callback::KeptCause;

/// One thing to settle.
#[derive(Clone, Debug)]
pub enum Entry {
    Attempt(Box<AttemptNews>),
    Callback(Box<CallbackNews>),
    Job(JobNews),
    Resolve(ResolveNews),
}

/// What a worker learnt or decided about an attempt.
#[derive(Clone, Debug)]
pub struct AttemptNews {
    pub attempt: AttemptId,
    pub event: Option<AttemptEvent>,
    pub guard: Guard,
    pub source: Source,
    /// For people: why it failed.
    pub message: Option<String>,
    /// What fal asked us to wait.
    pub retry_after: Option<Duration>,
    /// fal's output, byte for byte.
    pub result: Option<Bytes>,
    pub billable_units: Option<Decimal>,
    pub gateway_request_id: Option<String>,
    /// A circuit to open.
    pub trouble: Option<Trouble>,
    /// When to look at it next, from now, where it stays open.
    pub next_look: Option<Duration>,
    /// Policy `impatient`: let another attempt go ahead beside this unknown one.
    pub supersede_unknown: bool,
}

impl AttemptNews {
    /// News with nothing but the event.
    pub fn of(attempt: AttemptId, event: Option<AttemptEvent>, guard: Guard, source: Source) -> Self {
        Self {
            attempt,
            event,
            guard,
            source,
            message: None,
            retry_after: None,
            result: None,
            billable_units: None,
            gateway_request_id: None,
            trouble: None,
            next_look: None,
            supersede_unknown: false,
        }
    }
}

/// Who may say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Evidence counts whoever brings it.
    Evidence,
    /// A decision counts only from the holder of this claim.
    Lease { fence: i64 },
    /// A decision of the reconciler counts only when nobody has changed the attempt since it was read.
    Version(i32),
}

/// Where news come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Submit,
    Callback,
    Poll,
    History,
}

/// A callback whose token and signature are good.
#[derive(Clone, Debug)]
pub struct CallbackNews {
    pub id: CallbackId,
    pub credential: CredentialId,
    pub attempt: AttemptId,
    pub request_id: RequestId,
    pub user_id: String,
    /// Seconds since 1970, as signed.
    pub signed_at: i64,
    /// As it stood in the header.
    pub signature: String,
    pub body: Bytes,
    pub body_sha256: [u8; 32],
    pub gateway_request_id: Option<String>,
    pub said: Said,
    /// How far `signed_at` may be from now.
    pub leeway: Duration,
    /// An operator has it processed again: its age does not matter, and it is not stored a second time.
    pub again: bool,
}

/// What the body of a callback means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The slice of `payload`, byte for byte.
    Ok(Bytes),
    Error {
        failure: Failure,
        message: String,
    },
    /// Nothing that can be applied: fal must be asked.
    Unusable(KeptCause),
}

/// What somebody wants of a job, or what time does to it.
#[derive(Clone, Debug)]
pub struct JobNews {
    pub job: JobId,
    /// Whose job it must be, where a project asks.
    pub project: Option<ProjectId>,
    pub event: JobEvent,
}

/// What a person decides about the unknown attempt of a job.
#[derive(Clone, Copy, Debug)]
pub struct ResolveNews {
    pub job: JobId,
    /// Whose job it must be.
    pub project: ProjectId,
    pub how: Resolution,
    /// By which API key, for the log of transitions.
    pub by: KeyId,
}

impl Entry {
    pub(super) fn attempt(&self) -> Option<AttemptId> {
        match self {
            Self::Attempt(news) => Some(news.attempt),
            Self::Callback(news) => Some(news.attempt),
            Self::Job(_) | Self::Resolve(_) => None,
        }
    }

    pub(super) fn job(&self) -> Option<JobId> {
        match self {
            Self::Job(news) => Some(news.job),
            Self::Resolve(news) => Some(news.job),
            Self::Attempt(_) | Self::Callback(_) => None,
        }
    }

    /// The request id that the entry may bind.
    pub(super) fn request_id(&self) -> Option<&RequestId> {
        match self {
            Self::Attempt(news) => news.event.as_ref().and_then(AttemptEvent::request_id),
            Self::Callback(news) => Some(&news.request_id),
            Self::Job(_) | Self::Resolve(_) => None,
        }
    }
}
