//! A job as JSON.

use chrono::{DateTime, Utc};
use domain::JobId;
use rust_decimal::Decimal;
use serde::Serialize;
use store::{
    jobs::{JobError, JobView},
    keys::Payloads,
};
use utoipa::ToSchema;

/// A job as the API tells of it. The names are part of the outside contract.
#[derive(Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct JobJson {
    #[schema(value_type = Uuid)]
    id: JobId,
    state: String,
    model: String,
    tier: Option<String>,
    priority: i16,
    tags: Vec<String>,
    /// Null for a key that may not see payloads.
    metadata: serde_json::Value,
    attempts_made: i16,
    attempts_max: i16,
    request_id: Option<String>,
    cached: bool,
    created_at: DateTime<Utc>,
    run_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    error: Option<ErrorJson>,
    waiting: Option<WaitingJson>,
    cost: CostJson,
    links: Links,
}

/// Why a job failed.
#[derive(Serialize, ToSchema)]
#[schema(as = JobError)]
pub(crate) struct ErrorJson {
    class: String,
    /// Null for a key that may not see payloads.
    message: Option<String>,
    charged: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Waiting)]
struct WaitingJson {
    reason: &'static str,
    since: DateTime<Utc>,
    expected_start_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Cost)]
struct CostJson {
    currency: String,
    estimated: Option<String>,
    reserved: String,
    charged: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = JobLinks)]
struct Links {
    #[serde(rename = "self")]
    own: String,
    result: String,
    timeline: String,
    wait: String,
    cancel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    regenerated_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refetched_from: Option<String>,
}

impl JobJson {
    /// What a key may see of a job. There is no way around the question.
    pub(crate) fn of(job: JobView, payloads: Payloads) -> Self {
        let links = Links::of(&job);
        Self {
            id: job.id,
            state: job.state,
            model: job.model,
            tier: None,
            priority: job.priority,
            tags: job.tags,
            metadata: if payloads.are_hidden() { serde_json::Value::Null } else { job.metadata },
            attempts_made: job.attempts_made,
            attempts_max: job.attempts_max,
            request_id: job.request_id,
            cached: false,
            created_at: job.created_at,
            run_at: job.run_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            error: job.error.map(|error| ErrorJson::of(error, payloads)),
            waiting: job.waiting.map(|waiting| WaitingJson {
                reason: waiting.reason.as_str(),
                since: waiting.since,
                expected_start_at: waiting.expected_start_at,
            }),
            cost: CostJson {
                currency: job.cost.currency,
                estimated: job.cost.estimated.map(money),
                reserved: money(job.cost.reserved),
                charged: job.cost.charged.map(money),
            },
            links,
        }
    }
}

impl ErrorJson {
    pub(crate) fn of(error: JobError, payloads: Payloads) -> Self {
        let message = error.message.filter(|_| !payloads.are_hidden());
        Self { class: error.class, message, charged: error.charged }
    }
}

impl Links {
    fn of(job: &JobView) -> Self {
        let own = path(job.id);
        Self {
            result: format!("{own}/result"),
            timeline: format!("{own}/timeline"),
            wait: format!("{own}/wait"),
            cancel: format!("{own}/cancel"),
            regenerated_from: job.regenerated_from.map(path),
            refetched_from: job.refetched_from.map(path),
            own,
        }
    }
}

fn path(id: JobId) -> String {
    format!("/v1/jobs/{id}")
}

fn money(amount: Decimal) -> String {
    amount.normalize().to_string()
}
