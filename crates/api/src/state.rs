//! What the handlers work with.

use crate::auth::KeyCache;
use fal::QueueClient;
use receiver::Receiver;
use std::time::Duration;
use store::{Store, settle::Settler, wake::Wakes};
use submitter::Intake;
use tokio_util::sync::CancellationToken;

/// What the handlers work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ApiState {
    pub store: Store,
    pub intake: Intake,
    pub settler: Settler,
    pub wakes: Wakes,
    /// Asked by refetch alone.
    pub fal: QueueClient,
    /// Checks and processes stored callbacks again.
    pub receiver: Receiver,
    pub keys: KeyCache,
    pub limits: ApiLimits,
    /// Long polls end early when this is cancelled.
    pub stop: CancellationToken,
}

/// What one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiLimits {
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// Bytes of the body of a batch.
    pub batch_bytes_max: usize,
    /// Jobs of a batch.
    pub batch_jobs_max: usize,
    /// For a whole body to arrive.
    pub body_timeout: Duration,
    /// Longer waits are cut to this.
    pub wait_max: Duration,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1024 * 1024,
            batch_bytes_max: 32 * 1024 * 1024,
            batch_jobs_max: 10_000,
            body_timeout: Duration::from_secs(30),
            wait_max: Duration::from_mins(1),
        }
    }
}
