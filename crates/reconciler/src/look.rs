//! One look at one attempt.

use crate::{pace, submitted, unknown};
use apalis::prelude::{BoxDynError, Data};
use domain::{AttemptEvent, Dice, ErrorClass, Failure, RequestId};
use fal::{EndpointId, QueueClient};
use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use store::{
    Store,
    looks::{DueLook, Stage},
    model_stats::ModelStats,
    settle::{AttemptNews, Guard, Settler, Source},
};

/// How the reconciler goes about it.
#[derive(Clone, Debug)]
pub struct ReconcilerSettings {
    /// When a model's latency is not known yet.
    pub first_look: Duration,
    /// The longest wait between two looks at one attempt.
    pub poll_max: Duration,
    pub polls_per_second_max: NonZeroU32,
    /// How long after its claim an unknown attempt is looked for in fal's history.
    pub history_after: Duration,
    /// How far fal's history may lag behind.
    pub history_lag: Duration,
    /// How long fal may say that it knows no such request before we believe it.
    pub unknown_grace: Duration,
}

/// What a look works with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reconciler {
    pub settings: Arc<ReconcilerSettings>,
    pub store: Store,
    pub fal: Arc<QueueClient>,
    pub settler: Settler,
    pub stats: ModelStats,
    /// Set once fal has refused to list history for this key; then nobody asks again.
    pub history_refused: Arc<AtomicBool>,
    pub dice: Dice,
}

/// What a look found, for the log and the metrics.
pub(crate) struct Finding {
    pub(crate) name: &'static str,
    pub(crate) news: AttemptNews,
}

/// Looks at one attempt and records what was found. A handler that returns has committed it.
pub async fn look_at(due: DueLook, reconciler: Data<Reconciler>) -> Result<(), BoxDynError> {
    let started = Instant::now();
    let finding = reconciler.look(&due).await;
    metrics::counter!("falconer_looks_total", "finding" => finding.name).increment(1);
    metrics::histogram!("falconer_look_lag_seconds").record(due.late_seconds);
    tracing::info!(
        attempt.id = %due.attempt,
        job.id = %due.job,
        model = due.model,
        finding = finding.name,
        looks = due.looks + 1,
        late_seconds = due.late_seconds,
        took_seconds = started.elapsed().as_secs_f64(),
        "attempt {} was looked at: {}", due.attempt, finding.name,
    );
    record(&reconciler, finding.news).await;
    Ok(())
}

/// What was found is offered to the database while it is away only a while: the next look finds it again.
async fn record(reconciler: &Reconciler, news: AttemptNews) {
    const TRIES: u32 = 20;
    for attempt in 0..TRIES {
        match reconciler.settler.attempt(news.clone()).await {
            Ok(_) | Err(store::Error::Stopping) => return,
            Err(error) if error.is_unavailable() && attempt + 1 < TRIES => {
                tokio::time::sleep(Duration::from_millis(100).mul_f64(0.5 + reconciler.dice.unit())).await;
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(attempt.id = %news.attempt, error, "what a look found was not recorded; the next finds it");
                return;
            }
        }
    }
}

impl Reconciler {
    async fn look(&self, due: &DueLook) -> Finding {
        let Ok(endpoint) = EndpointId::parse(&due.model) else {
            return again(due, "unusable_model", self.settings.poll_max);
        };
        match &due.stage {
            Stage::LeaseRanOut => Finding {
                name: "lease_ran_out",
                news: AttemptNews {
                    message: Some("whoever was submitting it lost the lease".to_owned()),
                    next_look: Some(self.settings.history_after),
                    ..decision(due, Some(AttemptEvent::LeaseExpired))
                },
            },
            Stage::Submitted { request_id } => submitted::look(self, due, &endpoint, request_id).await,
            Stage::Unknown { candidate, seed, input } => {
                unknown::look(self, due, &endpoint, candidate.as_ref(), *seed, input).await
            }
        }
    }

    /// When a run that fal has not finished is looked at next.
    pub(crate) fn pace(&self, due: &DueLook) -> Duration {
        let latency = self.stats.latency(&due.model);
        pace::wait(due.looks, latency, self.settings.first_look, self.settings.poll_max, self.dice.unit())
    }

    pub(crate) fn history_is_on(&self) -> bool {
        !self.history_refused.load(Ordering::Relaxed)
    }

    pub(crate) fn refuse_history(&self, status: u16) {
        if !self.history_refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                status,
                "fal lists no history for this key: unknown attempts are left to callbacks and time"
            );
        }
    }
}

/// Nothing to record but when to look again.
pub(crate) fn again(due: &DueLook, name: &'static str, wait: Duration) -> Finding {
    Finding { name, news: AttemptNews { next_look: Some(wait), ..evidence(due, None, Source::Poll) } }
}

pub(crate) fn decision(due: &DueLook, event: Option<AttemptEvent>) -> AttemptNews {
    AttemptNews::of(due.attempt, event, Guard::Version(due.version), Source::Poll)
}

pub(crate) fn evidence(due: &DueLook, event: Option<AttemptEvent>, source: Source) -> AttemptNews {
    AttemptNews::of(due.attempt, event, Guard::Evidence, source)
}

pub(crate) fn failed(request_id: &RequestId, class: ErrorClass, charged: domain::Charged) -> AttemptEvent {
    AttemptEvent::ResultError(request_id.clone(), Failure { class, charged })
}
