//! What the handlers work with.

use crate::{adopt::AdoptSettings, auth::KeyCache, rate::Rates, streams::Streams};
use accounts::Accounts;
use receiver::Receiver;
use std::time::Duration;
use store::{Store, jobs::Watch, settle::Settler, wake::Wakes};
use submitter::Intake;
use tokio_util::sync::CancellationToken;

/// What the handlers work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ApiState {
    pub store: Store,
    pub intake: Intake,
    pub settler: Settler,
    pub wakes: Wakes,
    /// Tells of jobs that change.
    pub watch: Watch,
    /// Seals keys that are handed in, and asks fal for refetch.
    pub accounts: Accounts,
    /// Checks and processes stored callbacks again.
    pub receiver: Receiver,
    pub keys: KeyCache,
    /// How many requests each key may make.
    pub rates: Rates,
    /// Draws the bits of a new key's secret.
    pub draw: fn() -> [u8; 32],
    pub streams: Streams,
    pub limits: ApiLimits,
    /// For what somebody else sends.
    pub adopt: AdoptSettings,
    /// Long polls end early when this is cancelled.
    pub stop: CancellationToken,
}

/// What one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiLimits {
    /// Bytes of a body, and of one line of a batch.
    pub body_bytes_max: usize,
    /// Bytes of a batch that is an array.
    pub batch_bytes_max: usize,
    /// Jobs of a batch that is an array.
    pub batch_jobs_max: usize,
    /// For a whole body to arrive; of a body of lines, for its next byte.
    pub body_timeout: Duration,
    /// Longer waits are cut to this.
    pub wait_max: Duration,
    /// Streams of one key at once.
    pub streams_of_key_max: usize,
    /// Streams of all keys at once.
    pub streams_max: usize,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1024 * 1024,
            batch_bytes_max: 32 * 1024 * 1024,
            batch_jobs_max: 10_000,
            body_timeout: Duration::from_secs(30),
            wait_max: Duration::from_mins(1),
            streams_of_key_max: 100,
            streams_max: 1000,
        }
    }
}
