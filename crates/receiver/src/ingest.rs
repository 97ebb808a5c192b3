//! The routes of the callback listener, and what happens to a verified callback.

use crate::{Budget, Rejections, VerifiedCallback, meaning, rejections::Rejected, throttle::Throttle};
use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use domain::TokenKeys;
use failpoints::{Bug, Point};
use fal::jwks::KeyStore;
use http::StatusCode;
use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};
use store::{
    log_limit::LogLimit,
    settle::{Disposition, RejectedCause, Settler},
};

/// fal gives its first try 15 s. A caller who waits longer than this is told to come again; the batch that holds the
/// callback may still be committed, and then the next try is a repeat.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(1900);

/// For a whole body to arrive, where nobody says otherwise: as long as fal waits for its first answer.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes that the bodies of callbacks may take at once, beyond the first of each; see [`Budget`].
const BODIES_MAX: usize = 256 << 20;

/// What callbacks are checked and settled with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Receiver {
    pub tokens: TokenKeys,
    pub keys: KeyStore,
    pub settler: Settler,
    pub rejections: Rejections,
    /// Bytes of a body beyond which it is not read.
    pub body_max: usize,
    /// For a whole body to arrive.
    pub body_timeout: Duration,
    /// How far fal's stamp may be from the database's time.
    pub leeway: Duration,
    pub outages: LogLimit,
}

/// What the routes work with: the receiver, and what bounds those who call it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    pub(crate) receiver: Receiver,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) budget: Budget,
    rejected_lines: LogLimit,
}

/// The two routes of the callback listener. Every other path, and every other method, is nothing.
pub fn router(receiver: Receiver) -> Router {
    let listening = Listening {
        receiver,
        throttle: Arc::default(),
        budget: Budget::new(BODIES_MAX),
        rejected_lines: LogLimit::default(),
    };
    Router::new()
        .route("/hooks/fal/{token}", post(receive))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(listening)
}

/// Settles a verified callback and answers after the commit. Answers say nothing of the inside.
async fn receive(State(listening): State<Listening>, callback: VerifiedCallback) -> StatusCode {
    let Listening { receiver, rejected_lines, .. } = listening;
    let started = Instant::now();
    let Ok(news) = meaning::news(&callback, receiver.leeway, false) else {
        receiver.rejections.keep(Rejected::of(&callback).because(RejectedCause::Headers));
        return StatusCode::BAD_REQUEST;
    };
    failpoints::hit(Point::CallbackBeforeSettle);
    if failpoints::seeded(Bug::AnswerBeforeCommit) {
        #[expect(clippy::disallowed_methods, reason = "a seeded bug: nobody waits for this commit")]
        tokio::spawn(async move { receiver.settler.callback(news).await });
        return StatusCode::OK;
    }
    let settled = tokio::time::timeout(SETTLE_TIMEOUT, receiver.settler.callback(news)).await;
    let disposition = match settled {
        Ok(Ok(disposition)) => disposition,
        Ok(Err(error)) => {
            if let Some(missed) = receiver.outages.pass() {
                tracing::warn!(error = &error as &dyn Error, missed, "callbacks cannot be stored");
            }
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE,
    };
    failpoints::hit(Point::CallbackBeforeAnswer);
    note(&callback, disposition, started.elapsed(), &rejected_lines);
    match disposition {
        Disposition::Applied | Disposition::Duplicate | Disposition::Kept(_) => StatusCode::OK,
        Disposition::Rejected(_) => StatusCode::UNAUTHORIZED,
    }
}

/// Counts and logs a settled callback. What was rejected is a stranger's to repeat, and fills no log.
fn note(callback: &VerifiedCallback, disposition: Disposition, took: Duration, rejected_lines: &LogLimit) {
    let (name, cause) = disposition.names();
    metrics::counter!("falconer_callbacks_total", "disposition" => name, "cause" => cause.unwrap_or("none"))
        .increment(1);
    metrics::histogram!("falconer_callback_seconds").record(took.as_secs_f64());
    let missed = match disposition {
        Disposition::Rejected(_) => match rejected_lines.pass() {
            Some(missed) => missed,
            None => return,
        },
        Disposition::Applied | Disposition::Duplicate | Disposition::Kept(_) => 0,
    };
    tracing::info!(
        callback.id = %callback.id,
        attempt.id = %callback.attempt,
        request_id = callback.headers.request_id,
        disposition = name,
        cause,
        body_bytes = callback.body.len(),
        took_seconds = took.as_secs_f64(),
        missed,
        "callback {} was {name}", callback.id,
    );
}
