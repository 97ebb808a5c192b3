//! Keeps what was turned away, off the path of the answer and bounded: a flood of junk costs counters, not rows.

use crate::VerifiedCallback;
use bytes::Bytes;
use domain::{AttemptId, CallbackId, CredentialId};
use http::HeaderMap;
use std::{error::Error, time::Duration};
use store::{Store, log_limit::LogLimit, rejected, settle::RejectedCause};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Rejected calls that may wait to be stored. Beyond them only the counter tells.
const WAITING_MAX: usize = 256;
const BATCH_MAX: usize = 128;
/// After a batch: so a flood with a good token costs one statement a second, and the rows of [`BATCH_MAX`].
const PAUSE: Duration = Duration::from_secs(1);
/// Header values are kept up to this length.
const VALUE_MAX: usize = 256;

/// Where rejected calls are handed in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rejections {
    waiting: mpsc::Sender<rejected::Rejected>,
    lines: LogLimit,
}

/// A call that is about to be turned away, with what it said of itself.
pub(crate) struct Rejected(rejected::Rejected);

impl Rejections {
    /// Starts the writer, which ends at `stop`.
    pub fn start(store: Store, tasks: &TaskTracker, stop: CancellationToken) -> Self {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        tasks.spawn(write(store, queue, stop));
        Self { waiting, lines: LogLimit::default() }
    }

    pub(crate) fn keep(&self, rejected: rejected::Rejected) {
        metrics::counter!("falconer_callbacks_total", "disposition" => "rejected", "cause" => rejected.cause.as_str())
            .increment(1);
        if let Some(missed) = self.lines.pass() {
            tracing::warn!(
                callback.id = %rejected.id,
                attempt.id = %rejected.attempt,
                cause = rejected.cause.as_str(),
                missed,
                "callback {} was rejected: {}", rejected.id, rejected.cause.as_str(),
            );
        }
        // A full queue means a flood; the counter has it.
        let _ = self.waiting.try_send(rejected);
    }
}

impl Rejected {
    pub(crate) fn new(id: CallbackId, credential: CredentialId, attempt: AttemptId, headers: &HeaderMap) -> Self {
        let text = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(value.chars().take(VALUE_MAX).collect::<String>())
        };
        Self(rejected::Rejected {
            id,
            credential,
            attempt,
            cause: RejectedCause::Headers,
            request_id: text("x-fal-webhook-request-id"),
            user_id: text("x-fal-webhook-user-id"),
            signed_at: text("x-fal-webhook-timestamp").and_then(|text| text.parse().ok()),
            signature: text("x-fal-webhook-signature"),
            body_bytes: text("content-length").and_then(|text| text.parse().ok()).unwrap_or(0),
            body: None,
        })
    }

    /// A callback that fal signed, and that is turned away for what it says.
    pub(crate) fn of(callback: &VerifiedCallback) -> Self {
        let headers = &callback.headers;
        let said = rejected::Rejected {
            id: callback.id,
            credential: callback.credential,
            attempt: callback.attempt,
            cause: RejectedCause::Headers,
            request_id: Some(headers.request_id.clone()),
            user_id: Some(headers.user_id.clone()),
            signed_at: Some(headers.timestamp),
            signature: Some(hex::encode(headers.signature)),
            body_bytes: 0,
            body: None,
        };
        Self(said).with_body(callback.body.clone())
    }

    /// A body that will not be kept does not wait in memory either.
    pub(crate) fn with_body(mut self, body: Bytes) -> Self {
        self.0.body_bytes = i64::try_from(body.len()).unwrap_or(i64::MAX);
        self.0.body = Some(body).filter(|body| body.len() <= rejected::BODY_KEPT_MAX);
        self
    }

    pub(crate) fn because(mut self, cause: RejectedCause) -> rejected::Rejected {
        self.0.cause = cause;
        self.0
    }
}

async fn write(store: Store, mut queue: mpsc::Receiver<rejected::Rejected>, stop: CancellationToken) {
    let outages = LogLimit::default();
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            taken = queue.recv_many(&mut batch, BATCH_MAX) => if taken == 0 { return },
            () = stop.cancelled() => return,
        }
        if let Err(error) = rejected::insert(&store, &batch).await
            && let Some(missed) = outages.pass()
        {
            tracing::warn!(error = &error as &dyn Error, missed, "rejected callbacks could not be kept");
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => return,
        }
    }
}
