//! Jobs to fal: claims what may be sent, POSTs it once, and records what fal said.
//!
//! `queue` claims, `seats` shares the handlers out among the accounts, `outcome` says what follows from the one POST, `record` keeps the answer until it is committed.
//! apalis runs [`send_one`] for every claimed attempt; it decides nothing.

mod outcome;
mod queue;
mod record;
mod seats;

pub use queue::DispatchQueue;
pub use record::record;

use accounts::Accounts;
use apalis::prelude::{BoxDynError, Data};
use domain::{Dice, Timeouts, TokenKeys};
use failpoints::{Bug, Point};
use fal::{
    EndpointId,
    client::{SubmitOptions, SubmitOutcome},
};
use seats::Seat;
use std::{sync::Arc, time::Duration};
use store::{claim::Claimed, model_stats::ModelStats, settle::Settler};
use tokio::time::Instant;
use url::Url;

/// fal keeps larger results for six minutes. What is learnt of a model's latency grows with every callback that was late,
/// as after an outage of ours, and must not put the first look beyond that.
const FIRST_LOOK_LATEST: Duration = Duration::from_mins(2);

/// How jobs are sent.
#[derive(Clone, Debug)]
pub struct DispatchSettings {
    /// Attempts of one account that may be open at fal beside those that run: they wait in fal's queue, so that a freed
    /// slot is filled at once.
    pub in_flight_margin: u32,
    /// Attempts that this process sends at once.
    pub handlers_max: usize,
    pub timeouts: Timeouts,
    /// Base of the callback URL. Without it no webhook is asked for, and every attempt is polled.
    pub callback_base: Option<Url>,
    /// When a model's latency is not known yet.
    pub first_look: Duration,
}

/// What the handler of an attempt works with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    pub settings: Arc<DispatchSettings>,
    pub accounts: Accounts,
    pub settler: Settler,
    pub stats: ModelStats,
    pub tokens: TokenKeys,
    pub dice: Dice,
}

/// An attempt that was committed, and until when it may be sent.
#[derive(Clone, Debug)]
pub struct Dispatch {
    pub claimed: Claimed,
    /// Counted by this machine's monotonic clock from before the claim, so that a process that was paused past its
    /// lease sends nothing.
    pub send_before: Instant,
    /// Held for as long as the attempt is being sent, so that its account's share of the handlers is known.
    pub(crate) seat: Seat,
}

/// Sends one attempt and records what fal said. A handler that returns has committed the outcome.
pub async fn send_one(dispatch: Dispatch, dispatcher: Data<Dispatcher>) -> Result<(), BoxDynError> {
    dispatcher.send(dispatch).await;
    Ok(())
}

impl Dispatcher {
    async fn send(&self, dispatch: Dispatch) {
        let Dispatch { claimed, send_before, seat: _seat } = dispatch;
        let started = Instant::now();
        let outcome = match EndpointId::parse(&claimed.model) {
            Ok(endpoint) => {
                let webhook_url = self.callback_url(&claimed);
                let options = SubmitOptions {
                    webhook_url: webhook_url.as_ref().map(Url::as_str),
                    start_timeout: self.settings.timeouts.start,
                    deadline: (!failpoints::seeded(Bug::SendsPastLease)).then_some(send_before),
                };
                let body = match claimed.seed {
                    Some(seed) => fal::seeds::with_seed(&claimed.input, seed.unsigned_abs()),
                    None => claimed.input.clone(),
                };
                if failpoints::seeded(Bug::TokenInLog) {
                    tracing::info!(url = ?webhook_url, "a webhook is asked for");
                }
                match self.accounts.client(claimed.credential).await {
                    Ok(fal) => match fal.submit(&endpoint, body.clone(), &options).await {
                        SubmitOutcome::Unknown { .. } if failpoints::seeded(Bug::BlindRetry) => {
                            fal.submit(&endpoint, body, &options).await
                        }
                        outcome => outcome,
                    },
                    Err(why) => SubmitOutcome::NotSent { message: why.to_string() },
                }
            }
            Err(error) => outcome::unusable_model(error),
        };
        failpoints::hit(Point::SubmitAfterAnswer);
        let (name, news) = outcome::news(&claimed, outcome, self.first_look(&claimed.model));
        metrics::counter!("falconer_submits_total", "outcome" => name).increment(1);
        metrics::histogram!("falconer_submit_seconds").record(started.elapsed().as_secs_f64());
        tracing::info!(
            job.id = %claimed.job,
            attempt.id = %claimed.attempt,
            attempt.number = claimed.number,
            model = claimed.model,
            outcome = name,
            request_id = news.event.as_ref().and_then(|event| event.request_id()).map(tracing::field::display),
            message = news.message.as_deref(),
            waited_seconds = claimed.waited_seconds,
            took_seconds = started.elapsed().as_secs_f64(),
            "attempt {} of job {} was sent: {name}", claimed.number, claimed.job,
        );
        record(&self.settler, self.dice, news).await;
        failpoints::hit(Point::SubmitAfterRecord);
    }

    fn callback_url(&self, claimed: &Claimed) -> Option<Url> {
        let base = self.settings.callback_base.as_ref()?;
        crate::callback_url(base, &self.tokens, claimed.credential, claimed.attempt)
    }

    /// Without callbacks, half of all runs are over by the median.
    fn first_look(&self, model: &str) -> Duration {
        let known = match self.settings.callback_base {
            Some(_) => self.stats.first_look(model),
            None => self.stats.latency(model).map(|latency| latency.p50),
        };
        known.unwrap_or(self.settings.first_look).min(FIRST_LOOK_LATEST)
    }
}
