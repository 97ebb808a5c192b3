//! What tests and operators see of the simulator: copies, so that nothing can be changed through them.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize, Serializer};

use crate::faults::Fault;
use crate::request::{OutcomeKind, Request, RequestState};

/// Everything at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    /// Sums.
    pub counts: Counts,
    /// All accepted requests, oldest first.
    pub requests: Vec<RequestView>,
}

impl View {
    /// The request of an id.
    pub fn request(&self, request_id: &str) -> Option<&RequestView> {
        self.requests.iter().find(|request| request.request_id == request_id)
    }
}

/// Sums over all requests since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// POSTs that made a request.
    pub accepted: usize,
    /// POSTs that were refused.
    pub refused: usize,
    /// Requests that wait for a slot.
    pub in_queue: usize,
    /// Requests that occupy one.
    pub in_progress: usize,
    /// Requests that are over.
    pub completed: usize,
    /// Webhook tries that left the simulator.
    pub webhooks_sent: usize,
    /// Webhooks that were answered with 2xx.
    pub webhooks_delivered: usize,
    /// Reads of the key set.
    pub jwks_reads: usize,
    /// Looks at status or result.
    pub looks: usize,
    /// Pages of history that were asked for with a valid key while history was on.
    pub history_pages: usize,
}

/// One accepted request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RequestView {
    /// fal's id for it.
    pub request_id: String,
    /// fal's id for its last attempt inside.
    pub gateway_request_id: String,
    /// The number of its POST, from 0.
    pub ordinal: u64,
    /// The number of the account that pays; 0 is that of the plain settings.
    pub account: usize,
    /// The public half of the key that it was sent with.
    pub key_id: String,
    /// The endpoint id.
    pub endpoint: String,
    /// Where its webhook goes.
    pub webhook_url: Option<String>,
    /// Where it stands.
    pub state: RequestState,
    /// How it ended.
    pub outcome: Option<OutcomeKind>,
    /// The status code of its result.
    pub status_code: Option<u16>,
    /// The type of an infrastructure error.
    pub error_type: Option<String>,
    /// When it was accepted.
    pub posted_at: DateTime<Utc>,
    /// When it last took a slot.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub completed_at: Option<DateTime<Utc>>,
    /// The slot that it took last.
    pub slot: Option<u32>,
    /// The POST's body; shown as text.
    #[serde(serialize_with = "as_text")]
    pub input: Bytes,
    /// Every try of its webhook, also those that a fault swallowed.
    pub webhook_tries: Vec<TryView>,
    /// Whether a cancel was asked for; see `outcome` for whether it worked.
    pub canceled: bool,
    /// Charged units; none before the end and for what is not charged.
    pub billable_units: Option<Decimal>,
    /// US dollars charged; none before the end and for what is not charged.
    pub cost: Option<Decimal>,
    /// Of the result's body, in hexadecimal.
    pub result_sha256: Option<String>,
    /// Of the payload as its webhook carries it.
    pub payload_sha256: Option<String>,
    /// What the dice chose for it.
    pub faults: Vec<Fault>,
    /// How often its status or result was looked at.
    pub looks: u64,
}

/// One try of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TryView {
    /// Its number, from 1; copies share it with their original.
    pub n: u32,
    /// When it was over.
    pub tried_at: DateTime<Utc>,
    /// The status code that it was answered with.
    pub status: Option<u16>,
    /// What was wrong with it, or what it was beside the genuine one: `lost`, `tampered`, `duplicate`, …
    pub fault: Option<String>,
    /// Why there was no answer.
    pub error: Option<String>,
}

impl TryView {
    /// Whether it was answered with 2xx.
    pub fn delivered(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

impl From<&Request> for RequestView {
    fn from(request: &Request) -> Self {
        let finished = request.finished.as_ref();
        let charged = finished.filter(|finished| !finished.units.is_zero());
        Self {
            request_id: request.id.to_string(),
            gateway_request_id: request.gateway_id.to_string(),
            ordinal: request.ordinal,
            account: request.account,
            key_id: request.key_id.clone(),
            endpoint: request.endpoint.clone(),
            webhook_url: request.webhook.clone(),
            state: request.state,
            outcome: finished.map(|finished| finished.kind),
            status_code: finished.map(|finished| finished.status),
            error_type: finished.and_then(|finished| finished.error_type.clone()),
            posted_at: request.posted_at,
            started_at: request.started_at,
            completed_at: request.completed_at,
            slot: request.slot,
            input: request.input.clone(),
            webhook_tries: request.tries.clone(),
            canceled: request.cancel_asked,
            billable_units: charged.map(|finished| finished.units),
            cost: charged.map(|finished| finished.cost),
            result_sha256: finished.map(|finished| finished.result_sha256.clone()),
            payload_sha256: finished.map(|finished| finished.payload_sha256.clone()),
            faults: request.plan.chosen.clone(),
            looks: request.looks,
        }
    }
}

fn as_text<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}
