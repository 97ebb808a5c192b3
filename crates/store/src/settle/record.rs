//! The rows that a batch locks, and how they become what `domain` thinks with.

use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use domain::{
    Attempt, AttemptId, AttemptState, Charged, CredentialId, ErrorClass, Failure, Job, JobId, JobState, OnUnknown,
    ProjectId, RequestId,
};
use rust_decimal::Decimal;

/// A locked row of `jobs`, without what settling never touches.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JobRecord {
    pub(super) id: JobId,
    pub(super) project: ProjectId,
    pub(super) model: String,
    pub(super) state: String,
    pub(super) version: i32,
    pub(super) run_at: DateTime<Utc>,
    pub(super) on_unknown: String,
    pub(super) attempts_made: i16,
    pub(super) attempts_max: i16,
    pub(super) cancel_requested_at: Option<DateTime<Utc>>,
    pub(super) finished_at: Option<DateTime<Utc>>,
    pub(super) winner: Option<AttemptId>,
    pub(super) error_class: Option<String>,
    pub(super) error_message: Option<String>,
    pub(super) error_charged: Option<String>,
    pub(super) estimated: Option<Decimal>,
}

/// A locked row of `attempts`, without what settling never touches.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AttemptRecord {
    pub(super) job: JobId,
    pub(super) id: AttemptId,
    pub(super) credential: CredentialId,
    pub(super) number: i16,
    pub(super) state: String,
    pub(super) version: i32,
    pub(super) counted: bool,
    pub(super) fence: i64,
    /// `falconer` or `caller`.
    pub(super) posted_by: String,
    pub(super) claimed_at: DateTime<Utc>,
    pub(super) submitted_at: Option<DateTime<Utc>>,
    pub(super) finished_at: Option<DateTime<Utc>>,
    pub(super) next_look_at: Option<DateTime<Utc>>,
    pub(super) request_id: Option<String>,
    pub(super) gateway_request_id: Option<String>,
    pub(super) bound_by: Option<String>,
    pub(super) candidate_request_id: Option<String>,
    pub(super) superseded_at: Option<DateTime<Utc>>,
    pub(super) superseded_ok_at: Option<DateTime<Utc>>,
    pub(super) cancel_requested_at: Option<DateTime<Utc>>,
    pub(super) error_class: Option<String>,
    pub(super) error_message: Option<String>,
    pub(super) charged: Option<String>,
    pub(super) billable_units: Option<Decimal>,
    pub(super) result_from: Option<String>,
}

impl JobRecord {
    pub(super) fn to_domain(&self) -> Result<Job> {
        let state = match self.state.as_str() {
            "scheduled" => JobState::Scheduled { run_at: self.run_at },
            "held" => JobState::Held,
            "queued" => JobState::Queued { run_at: self.run_at },
            "running" => JobState::Running,
            "succeeded" => JobState::Succeeded,
            "failed" => JobState::Failed(
                failure(self.error_class.as_deref(), self.error_charged.as_deref())
                    .ok_or_else(|| self.inconsistent("failed without a class"))?,
            ),
            "canceled" => JobState::Canceled,
            _ => return Err(self.inconsistent("unknown state")),
        };
        Ok(Job {
            id: self.id,
            state,
            attempts_made: self.attempts_made.unsigned_abs(),
            attempts_max: self.attempts_max.unsigned_abs(),
            on_unknown: OnUnknown::parse(&self.on_unknown).ok_or_else(|| self.inconsistent("unknown policy"))?,
            cancel_armed: self.cancel_requested_at.is_some(),
            version: self.version,
        })
    }

    fn inconsistent(&self, what: &'static str) -> Error {
        Error::Inconsistent { table: "jobs", id: self.id.to_string(), what }
    }
}

impl AttemptRecord {
    pub(super) fn to_domain(&self) -> Result<Attempt> {
        let request_id = self.request_id.clone().map(RequestId);
        let state = match (self.state.as_str(), &request_id) {
            ("submitting", _) => AttemptState::Submitting,
            ("unknown", _) => AttemptState::Unknown,
            ("submitted", Some(id)) => AttemptState::Submitted { request_id: id.clone() },
            ("succeeded", Some(id)) => AttemptState::Succeeded { request_id: id.clone() },
            ("failed", _) => AttemptState::Failed(
                failure(self.error_class.as_deref(), self.charged.as_deref())
                    .ok_or_else(|| self.inconsistent("failed without a class"))?,
            ),
            ("canceled", _) => AttemptState::Canceled { charged: charged(self.charged.as_deref()) },
            ("abandoned", _) => AttemptState::Abandoned,
            ("expired", _) => AttemptState::Expired,
            ("submitted" | "succeeded", None) => return Err(self.inconsistent("no request id")),
            _ => return Err(self.inconsistent("unknown state")),
        };
        Ok(Attempt {
            id: self.id,
            number: self.number.unsigned_abs(),
            state,
            counted: self.counted,
            superseded: self.superseded_at.is_some(),
            request_id,
            version: self.version,
        })
    }

    /// Whether Falconer sends it, and so knows when it was sent and that it was sent once.
    pub(super) fn is_ours(&self) -> bool {
        self.posted_by == "falconer"
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "submitting" | "unknown" | "submitted")
    }

    /// Has the reconciler look now, where there is something to learn. While the attempt is being submitted there is not:
    /// its row is due when the lease ends, and whoever ends it sooner has the look made then.
    pub(super) fn look_at_once(&mut self, now: DateTime<Utc>) {
        if self.is_open() && self.state != "submitting" {
            self.next_look_at = Some(now);
        }
    }

    fn inconsistent(&self, what: &'static str) -> Error {
        Error::Inconsistent { table: "attempts", id: self.id.to_string(), what }
    }
}

/// The name of `charged` in SQL.
pub(super) const fn charged_name(charged: Charged) -> &'static str {
    match charged {
        Charged::No => "no",
        Charged::Perhaps => "perhaps",
        Charged::Yes => "yes",
    }
}

fn charged(name: Option<&str>) -> Charged {
    match name {
        Some("no") => Charged::No,
        Some("yes") => Charged::Yes,
        _ => Charged::Perhaps,
    }
}

fn failure(class: Option<&str>, charged_as: Option<&str>) -> Option<Failure> {
    Some(Failure { class: ErrorClass::parse(class?)?, charged: charged(charged_as) })
}
