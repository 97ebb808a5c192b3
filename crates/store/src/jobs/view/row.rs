//! A job as it lies in the tables, and what follows from that: why it waits, what it costs, why it failed.

use super::{Cost, JobError, JobView, Waiting, WaitingReason};
use chrono::{DateTime, Utc};
use domain::{JobId, ProjectId};
use rust_decimal::Decimal;

/// What is read of a job, and of what it waits for and costs.
pub(super) struct Row {
    pub(super) now: DateTime<Utc>,
    pub(super) id: JobId,
    pub(super) project: ProjectId,
    pub(super) state: String,
    pub(super) version: i32,
    pub(super) model: String,
    pub(super) priority: i16,
    pub(super) tags: Vec<String>,
    pub(super) metadata: serde_json::Value,
    pub(super) attempts_made: i16,
    pub(super) attempts_max: i16,
    pub(super) created_at: DateTime<Utc>,
    pub(super) run_at: DateTime<Utc>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) finished_at: Option<DateTime<Utc>>,
    pub(super) error_class: Option<String>,
    pub(super) error_message: Option<String>,
    pub(super) error_charged: Option<String>,
    pub(super) estimated: Option<Decimal>,
    pub(super) regenerated_from: Option<JobId>,
    pub(super) refetched_from: Option<JobId>,
    pub(super) request_id: Option<String>,
    pub(super) attempt_finished_at: Option<DateTime<Utc>>,
    pub(super) paused_at: Option<DateTime<Utc>>,
    pub(super) circuit_opened_at: Option<DateTime<Utc>>,
    pub(super) circuit_open_until: Option<DateTime<Utc>>,
    pub(super) unknown_since: Option<DateTime<Utc>>,
    pub(super) ledger_lines: i64,
    pub(super) charged: Option<Decimal>,
    pub(super) currency: Option<String>,
}

impl From<Row> for JobView {
    fn from(row: Row) -> Self {
        Self {
            waiting: row.waiting(),
            cost: row.cost(),
            error: row.error(),
            id: row.id,
            project: row.project,
            state: row.state,
            version: row.version,
            model: row.model,
            priority: row.priority,
            tags: row.tags,
            metadata: row.metadata,
            attempts_made: row.attempts_made,
            attempts_max: row.attempts_max,
            request_id: row.request_id,
            created_at: row.created_at,
            run_at: row.run_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            regenerated_from: row.regenerated_from,
            refetched_from: row.refetched_from,
        }
    }
}

impl Row {
    fn waiting(&self) -> Option<Waiting> {
        let waits = |reason, since, expected_start_at| Some(Waiting { reason, since, expected_start_at });
        match self.state.as_str() {
            "scheduled" => waits(WaitingReason::Scheduled, self.created_at, Some(self.run_at)),
            "queued" if self.run_at > self.now => {
                let since = self.attempt_finished_at.unwrap_or(self.created_at);
                waits(WaitingReason::Backoff, since, Some(self.run_at))
            }
            "queued" => {
                if let Some(paused_at) = self.paused_at {
                    return waits(WaitingReason::Paused, paused_at.max(self.run_at), None);
                }
                if let Some(opened_at) = self.circuit_opened_at {
                    let since = opened_at.max(self.run_at);
                    return waits(WaitingReason::CircuitOpen, since, self.circuit_open_until);
                }
                waits(WaitingReason::Slots, self.run_at, None)
            }
            "running" => waits(WaitingReason::UnknownOutcome, self.unknown_since?, None),
            _ => None,
        }
    }

    fn cost(&self) -> Cost {
        let reserved = if self.finished_at.is_none() { self.estimated } else { None };
        let charged = if self.ledger_lines == 0 { Some(Decimal::ZERO) } else { self.charged };
        Cost {
            currency: self.currency.clone().unwrap_or_else(|| "USD".to_owned()),
            estimated: self.estimated,
            reserved: reserved.unwrap_or_default(),
            charged,
        }
    }

    fn error(&self) -> Option<JobError> {
        let class = self.error_class.clone()?;
        let charged = match self.error_charged.as_deref() {
            Some("yes") => Some(true),
            Some("no") => Some(false),
            _ => None,
        };
        Some(JobError { class, message: self.error_message.clone(), charged })
    }
}
