//! One accepted request: what was asked, what the dice planned for it, and what has become of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::catalogue::Model;
use crate::faults::{Fault, Faults};
use crate::picture::Picture;
use crate::script::Outcome;
use crate::view::TryView;

/// The three states that fal has. A failure is `COMPLETED` as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RequestState {
    /// Waits for a slot.
    InQueue,
    /// Occupies a slot.
    InProgress,
    /// Is over, well or not.
    Completed,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// The model answered 200.
    Ok,
    /// The model answered an error about the input.
    ModelError,
    /// fal's machinery failed.
    RunnerError,
    /// Cancelled, in the queue or while it ran.
    Canceled,
    /// The start deadline passed in the queue.
    StartTimeout,
}

/// What was decided about a request when it was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Simulated time.
    pub(crate) run_time: Duration,
    /// Waits to be released.
    pub(crate) hold: bool,
    pub(crate) outcome: Outcome,
    /// The faults that the dice chose.
    pub(crate) chosen: Vec<Fault>,
    /// The rates that were in force, for the faults that are decided at each occasion, and for their lengths.
    pub(crate) rates: Faults,
}

impl Plan {
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.chosen.contains(&fault)
    }
}

/// How it ended, with everything that the result and the webhook need.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    pub(crate) kind: OutcomeKind,
    /// The status code that the result is answered with.
    pub(crate) status: u16,
    /// The result's body, compact JSON. Empty once it has expired.
    pub(crate) body: Bytes,
    /// The same as the webhook carries it.
    pub(crate) payload: Bytes,
    pub(crate) result_sha256: String,
    pub(crate) payload_sha256: String,
    /// The text of the status's `error`.
    pub(crate) error: Option<String>,
    pub(crate) error_type: Option<String>,
    /// What `x-fal-billable-units` says, when the header is there.
    pub(crate) units_header: Option<String>,
    /// Charged units.
    pub(crate) units: Decimal,
    /// US dollars.
    pub(crate) cost: Decimal,
    pub(crate) pictures: Vec<Picture>,
    /// Seconds.
    pub(crate) inference: Option<f64>,
}

/// An accepted request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: Arc<str>,
    /// Names the last attempt that fal made inside.
    pub(crate) gateway_id: Arc<str>,
    /// The number of its POST among all that were authorised, from 0; the dice know it by this.
    pub(crate) ordinal: u64,
    /// The number of the account that pays.
    pub(crate) account: usize,
    /// The public half of the key that it was sent with.
    pub(crate) key_id: String,
    pub(crate) endpoint: String,
    pub(crate) model: &'static Model,
    pub(crate) webhook: Option<String>,
    pub(crate) input: Bytes,
    pub(crate) plan: Plan,
    pub(crate) state: RequestState,
    pub(crate) low_priority: bool,
    /// Its place in the order of queueing.
    pub(crate) ticket: u64,
    pub(crate) slot: Option<u32>,
    /// How often it has been started.
    pub(crate) starts: u32,
    pub(crate) cancel_asked: bool,
    pub(crate) posted_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) completed_at: Option<DateTime<Utc>>,
    /// The same moments on the monotonic clock.
    pub(crate) posted: Duration,
    pub(crate) started: Option<Duration>,
    /// When the result goes; set at completion.
    pub(crate) expires: Option<Duration>,
    pub(crate) finished: Option<Finished>,
    pub(crate) tries: Vec<TryView>,
    /// Looks at its status or result so far.
    pub(crate) looks: u64,
    /// Told when the first webhook try is over, for the submit that waits for it.
    pub(crate) first_try: Option<oneshot::Sender<()>>,
}

impl Request {
    /// Whether the result is no longer there. False before completion.
    pub(crate) fn is_gone(&self, now: Duration) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}
