//! One look at one attempt.

use crate::{
    awaited,
    bills::Bills,
    books::{Book, Books},
    history::History,
    pace, submitted, unknown,
};
use apalis::prelude::{BoxDynError, Data};
use domain::{AttemptEvent, Dice, ErrorClass, Failure, RequestId};
use failpoints::{Bug, Point};
use fal::{EndpointId, QueueClient};
use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};
use store::{
    Store,
    log_limit::LogLimit,
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
    /// How long after its claim an attempt is due again, whatever became of the looker: as long as a lease, so that the
    /// looks of a killed process are made by another one soon. A look that takes longer is made twice, which changes
    /// nothing.
    pub hold: Duration,
}

/// What looks work with, whatever account they ask about. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Looker {
    pub settings: Arc<ReconcilerSettings>,
    pub store: Store,
    pub books: Books,
    pub settler: Settler,
    pub stats: ModelStats,
    pub dice: Dice,
    pub outages: LogLimit,
}

/// What one look at an attempt works with: fal is asked with the key of the attempt's own account.
pub(crate) struct Reconciler<'a> {
    pub(crate) settings: &'a ReconcilerSettings,
    pub(crate) store: &'a Store,
    pub(crate) stats: &'a ModelStats,
    pub(crate) fal: Arc<QueueClient>,
    pub(crate) history: History,
    pub(crate) bills: Bills,
    dice: Dice,
}

/// What a look found, for the log and the metrics.
pub(crate) struct Finding {
    pub(crate) name: &'static str,
    pub(crate) news: AttemptNews,
}

/// Looks at one attempt and records what was found. A handler that returns has committed it.
pub async fn look_at(due: DueLook, looker: Data<Looker>) -> Result<(), BoxDynError> {
    let started = Instant::now();
    let rescues = due.stage == Stage::LeaseRanOut;
    if !rescues {
        failpoints::hit(Point::ReconcileBeforeLook);
    }
    let finding = looker.look(&due).await;
    failpoints::hit(if rescues { Point::RescueBeforeSettle } else { Point::ReconcileAfterLook });
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
    record(&looker, finding.news).await;
    Ok(())
}

/// What was found is offered to the database while it is away only a while: the next look finds it again.
async fn record(looker: &Looker, news: AttemptNews) {
    const TRIES: u32 = 20;
    for attempt in 0..TRIES {
        match looker.settler.attempt(news.clone()).await {
            Ok(_) | Err(store::Error::Stopping) => return,
            Err(error) if error.is_unavailable() && attempt + 1 < TRIES => {
                tokio::time::sleep(Duration::from_millis(100).mul_f64(0.5 + looker.dice.unit())).await;
            }
            Err(error) => {
                if let Some(missed) = looker.outages.pass() {
                    let error: &dyn std::error::Error = &error;
                    let attempt = news.attempt;
                    tracing::warn!(attempt.id = %attempt, error, missed, "what a look found was not recorded; the next finds it");
                }
                return;
            }
        }
    }
}

impl Looker {
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
                    ..decision(due, Some(lease_ran_out()))
                },
            },
            Stage::Submitted { request_id } => match self.reconciler(due).await {
                Ok(reconciler) => submitted::look(&reconciler, due, &endpoint, request_id).await,
                Err(finding) => finding,
            },
            Stage::Awaited { candidate } => match self.reconciler(due).await {
                Ok(reconciler) => awaited::look(&reconciler, due, &endpoint, candidate.as_ref()).await,
                Err(finding) => finding,
            },
            Stage::Unknown { candidate, seed, input } => match self.reconciler(due).await {
                Ok(reconciler) => unknown::look(&reconciler, due, &endpoint, candidate.as_ref(), *seed, input).await,
                Err(finding) => finding,
            },
        }
    }

    /// What asks with the key of the attempt's account. Without that key nothing is asked and nothing given up.
    async fn reconciler(&self, due: &DueLook) -> Result<Reconciler<'_>, Finding> {
        let book = self.books.of(due.credential).await.map_err(|why| {
            if let Some(missed) = self.outages.pass() {
                let why: &dyn std::error::Error = &why;
                tracing::warn!(credential.id = %due.credential, why, missed, "fal cannot be asked about attempts of a credential");
            }
            again(due, "no_client", self.settings.poll_max)
        })?;
        let (settings, store, stats) = (&*self.settings, &self.store, &self.stats);
        let Book { fal, history, bills } = book;
        Ok(Reconciler { settings, store, stats, fal, history, bills, dice: self.dice })
    }
}

impl Reconciler<'_> {
    /// When a run that fal has not finished is looked at next.
    pub(crate) fn pace(&self, due: &DueLook) -> Duration {
        let latency = self.stats.latency(&due.model);
        pace::wait(due.looks, latency, self.settings.first_look, self.settings.poll_max, self.dice.unit())
    }
}

/// Whoever was submitting may have sent it, so that nothing may be decided from the silence alone.
fn lease_ran_out() -> AttemptEvent {
    if failpoints::seeded(Bug::RescueResends) { AttemptEvent::NotSent } else { AttemptEvent::LeaseExpired }
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
