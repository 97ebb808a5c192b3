//! Callers: jobs come at a steady rate whether earlier ones were answered or not, and each caller notes what it knows.

use super::{plan::Plan, schedule::SERVERS};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use uuid::Uuid;

/// A caller's patience with one request.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often a caller who wants to know asks again, and how long it waits in between.
const TRIES: u32 = 12;
const PAUSE: Duration = Duration::from_millis(500);

/// What one caller knows of its job in the end.
#[derive(Clone, Debug)]
pub struct Known {
    pub number: u64,
    pub outcome: Outcome,
    /// Requests of it whose outcome stayed unknown.
    pub unknown_tries: u32,
    /// From the first request to the answer.
    pub took: Duration,
}

/// As in a Jepsen history: ok, fail, or info.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 202 with this job.
    Acknowledged(Uuid),
    /// Refused: nothing was made.
    Refused(u16),
    /// Nobody listened: nothing was made.
    NotSent,
    /// A connection that broke, no answer in time, or a 5xx: there may be a job, or not.
    Unknown,
}

/// Where callers send their jobs.
#[derive(Clone, Debug)]
pub struct Door {
    pub client: reqwest::Client,
    pub apis: [String; SERVERS],
    pub api_key: String,
}

/// The idempotency key of the job with this number.
pub fn key(number: u64) -> String {
    format!("storm-{number}")
}

/// Sends jobs for the length of the plan, and returns what was learnt once all callers are done.
pub async fn run(plan: Plan, door: Door) -> Vec<Known> {
    let (door, mut callers) = (Arc::new(door), JoinSet::new());
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / plan.rate));
    // Open loop: what could not be sent in time is sent at once.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    for number in 0.. {
        ticks.tick().await;
        if began.elapsed() >= plan.length {
            break;
        }
        callers.spawn(call(Arc::clone(&door), plan, number));
    }
    callers.join_all().await
}

/// One caller. Half of them give up where they got no answer; the others ask again with the same key. Who found nobody to
/// speak to tries the other server in any case.
async fn call(door: Arc<Door>, plan: Plan, number: u64) -> Known {
    let mut dice = SmallRng::seed_from_u64(plan.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let asks_again = dice.random_bool(0.5);
    let body = json!({
        "model": "fal-ai/flux/schnell", "input": { "prompt": format!("owl {number}") },
        "on_unknown": plan.policy_of(number), "max_attempts": 50,
    });
    let (began, mut tries, mut unknown_tries) = (Instant::now(), 0, 0);
    let mut server = dice.random_range(0..SERVERS);
    loop {
        let outcome = post(&door, server, number, &body).await;
        unknown_tries += u32::from(outcome == Outcome::Unknown);
        tries += 1;
        let again = match outcome {
            Outcome::Acknowledged(_) | Outcome::Refused(_) => false,
            Outcome::NotSent => true,
            Outcome::Unknown => asks_again,
        };
        if !again || tries == TRIES {
            // Nothing was sent in the end, but perhaps before.
            let outcome = if outcome == Outcome::NotSent && unknown_tries > 0 { Outcome::Unknown } else { outcome };
            return Known { number, outcome, unknown_tries, took: began.elapsed() };
        }
        tokio::time::sleep(PAUSE).await;
        server = (server + 1) % SERVERS;
    }
}

async fn post(door: &Door, server: usize, number: u64, body: &Value) -> Outcome {
    let request = door.client.post(format!("{}/v1/jobs", door.apis[server])).timeout(PATIENCE);
    let request = request.bearer_auth(&door.api_key).header("idempotency-key", key(number)).json(body);
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) if error.is_connect() => return Outcome::NotSent,
        Err(_) => return Outcome::Unknown,
    };
    match answer.status().as_u16() {
        202 => {
            let body: Value = answer.json().await.unwrap_or_default();
            let id = body["id"].as_str().and_then(|id| id.parse().ok());
            id.map_or(Outcome::Unknown, Outcome::Acknowledged)
        }
        status @ 400..500 => Outcome::Refused(status),
        _ => Outcome::Unknown,
    }
}
