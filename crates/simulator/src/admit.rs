//! The way in: a POST numbered, its fate decided by scripts and dice, and the request put into the queue.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::account::Caller;
use crate::catalogue::Model;
use crate::core::Core;
use crate::ending;
use crate::faults::{Fault, Faults};
use crate::request::{Plan, Request, RequestState};
use crate::script::{Outcome, Script};
use crate::truth::TruthEvent;

/// A POST that was authorised and understood, with what the dice and scripts say about it.
#[derive(Debug)]
pub(crate) struct Draw {
    pub(crate) ordinal: u64,
    pub(crate) chosen: Vec<Fault>,
    pub(crate) rates: Faults,
    script: Script,
}

impl Draw {
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.chosen.contains(&fault)
    }
}

/// What a caller asks for.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) caller: Caller,
    pub(crate) endpoint: String,
    pub(crate) model: &'static Model,
    pub(crate) webhook: Option<String>,
    pub(crate) input: Bytes,
    pub(crate) low_priority: bool,
    /// Real time from the POST to the start.
    pub(crate) start_within: Option<Duration>,
}

/// An accepted order.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) index: usize,
    /// Resolves when the first try of the webhook is over.
    pub(crate) first_try: oneshot::Receiver<()>,
}

impl Core {
    /// Numbers a POST, takes its script and lets the dice choose its faults.
    pub(crate) fn draw(&self, prompt: &str) -> Draw {
        let (ordinal, script, rates) = {
            let mut world = self.world();
            let ordinal = world.posts;
            world.posts += 1;
            let script = world.scripts.take(prompt).unwrap_or_default();
            let rates = script.faults.clone().unwrap_or_else(|| world.faults.clone());
            (ordinal, script, rates)
        };
        let chosen = Fault::ALL.iter().copied();
        let chosen = chosen.filter(|fault| self.dice.hit(rates.rate(*fault), ordinal, fault.name(), 0)).collect();
        Draw { ordinal, chosen, rates, script }
    }

    /// Accepts an order: from here on the request exists, whatever the caller hears of it.
    pub(crate) fn admit(self: &Arc<Self>, order: Order, draw: Draw) -> Admitted {
        let now = self.now();
        let start_within = order.start_within;
        let (told, first_try) = oneshot::channel();
        let request = self.request(order, draw, told);
        let (index, started) = {
            let mut world = self.world();
            let event = TruthEvent::Accepted {
                endpoint: request.endpoint.clone(),
                ordinal: request.ordinal,
                webhook_url: request.webhook.clone(),
                input_sha256: hex::encode(Sha256::digest(&request.input)),
                faults: request.plan.chosen.clone(),
            };
            world.truth.write(now.wall, Some(&request.id), event);
            let index = world.admit(request, now);
            (index, world.pump(now))
        };
        let waits = !started.contains(&index);
        self.launch(started);
        if let (true, Some(deadline)) = (waits, start_within) {
            let core = self.clone();
            self.spawn(async move {
                tokio::time::sleep(deadline).await;
                core.miss_start(index);
            });
        }
        self.touch();
        Admitted { index, first_try }
    }

    /// Notes a POST that made nothing.
    pub(crate) fn refuse(&self, status: u16) {
        let now = self.now();
        let mut world = self.world();
        world.counts.refused += 1;
        world.truth.write(now.wall, None, TruthEvent::Refused { status });
        drop(world);
        self.touch();
    }

    fn request(&self, order: Order, draw: Draw, first_try: oneshot::Sender<()>) -> Request {
        let (id, now) = (Arc::<str>::from(Uuid::new_v4().to_string()), self.now());
        Request {
            gateway_id: id.clone(),
            id,
            ordinal: draw.ordinal,
            plan: self.plan(&order, draw),
            account: order.caller.account,
            key_id: order.caller.key_id,
            endpoint: order.endpoint,
            model: order.model,
            webhook: order.webhook,
            input: order.input,
            state: RequestState::InQueue,
            low_priority: order.low_priority,
            ticket: 0,
            slot: None,
            starts: 0,
            cancel_asked: false,
            posted_at: now.wall,
            started_at: None,
            completed_at: None,
            posted: now.up,
            started: None,
            expires: None,
            finished: None,
            tries: Vec::new(),
            looks: 0,
            first_try: Some(first_try),
        }
    }

    fn plan(&self, order: &Order, draw: Draw) -> Plan {
        let latency = &self.config.latency;
        let latency = latency.get(&order.endpoint).or_else(|| latency.get("*")).unwrap_or(&order.model.latency);
        let usual = latency.at(self.dice.unit(draw.ordinal, "run_time", 0));
        let run_time = if draw.has(Fault::CallbackBeforeAnswer) { Duration::ZERO } else { usual };
        let by_dice = if draw.has(Fault::Result422) {
            ending::some_model_error(self.dice, draw.ordinal)
        } else if draw.has(Fault::Result5xxRunner) {
            ending::some_runner_error(self.dice, draw.ordinal)
        } else {
            Outcome::Ok
        };
        Plan {
            run_time: draw.script.run_time.unwrap_or(run_time),
            hold: draw.script.hold,
            outcome: draw.script.outcome.unwrap_or(by_dice),
            chosen: draw.chosen,
            rates: draw.rates,
        }
    }
}
