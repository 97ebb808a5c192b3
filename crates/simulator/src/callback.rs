//! Webhooks: the schedule of tries, and the faults that bend them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::core::Core;
use crate::dice::Dice;
use crate::faults::{Fault, Faults};
use crate::private_target;
use crate::request::{OutcomeKind, Plan, Request};
use crate::signer::WebhookHeaders;
use crate::truth::TruthEvent;
use crate::view::TryView;

mod body;

/// The longest that a reordered webhook waits for another to go first. Simulated time.
const PARKED_MOST: Duration = Duration::from_secs(10);

/// What is needed to send a request's webhook, copied out of the account.
struct Call {
    index: usize,
    ordinal: u64,
    request_id: Arc<str>,
    user_id: String,
    url: String,
    plan: Plan,
    genuine: Bytes,
    conflicting: Bytes,
}

/// What became of one POST.
struct Sent {
    status: Option<u16>,
    error: Option<String>,
}

/// Sends a request's webhook until it is delivered, refused for good, or its result has expired.
pub(crate) async fn deliver(core: Arc<Core>, index: usize) {
    let Some(call) = call(&core, index) else {
        return;
    };
    if core.config.drop_private && private_target::is_private(&call.url).await {
        note(&core, &call, 1, Some("dropped_private"), None);
        return release(&core, &call);
    }
    if call.plan.has(Fault::CallbackLate) {
        core.clock.sleep(call.plan.rates.callback_late_by).await;
    }
    if call.plan.has(Fault::CallbackReordered) {
        park(&core).await;
    }
    if tries(&core, &call).await && call.plan.has(Fault::CallbackConflicting) {
        let sent = post(&core, &call, stamp(&core, &call, &call.conflicting), call.conflicting.clone(), 1).await;
        note(&core, &call, 1, Some("conflicting"), Some(&sent));
    }
}

/// Goes through the schedule; true when the webhook was delivered.
async fn tries(core: &Arc<Core>, call: &Call) -> bool {
    let mut first_stamp = None;
    for n in 1..=core.config.webhook_tries_max {
        if core.world().requests[call.index].is_gone(core.clock.uptime()) {
            break;
        }
        let status = one_try(core, call, n, &mut first_stamp).await;
        if n == 1 {
            release(core, call);
        }
        match status {
            Some(200..300) => return true,
            // fal does not follow redirects and does not try again after one.
            Some(300..400) => return false,
            _ => core.clock.sleep(backoff(core, n)).await,
        }
    }
    release(core, call);
    false
}

/// Makes one try, with whatever faults apply to it, and returns the status code of its answer.
async fn one_try(core: &Arc<Core>, call: &Call, n: u32, first: &mut Option<WebhookHeaders>) -> Option<u16> {
    if is_lost(core.dice, call, n) {
        note(core, call, n, Some("lost"), None);
        return None;
    }
    let (headers, body, fault) = dressed(core, call, n, first);
    if !call.plan.has(Fault::CallbackDoubled) {
        let sent = post(core, call, headers, body, n).await;
        return note(core, call, n, fault, Some(&sent));
    }
    let original = post(core, call, headers.clone(), body.clone(), n);
    let copy = post(core, call, headers, body, n);
    let (original, copy) = if core.dice.hit(0.5, call.ordinal, "doubled_at_once", 0) {
        tokio::join!(original, copy)
    } else {
        (original.await, copy.await)
    };
    let status = note(core, call, n, fault, Some(&original));
    note(core, call, n, Some("duplicate"), Some(&copy));
    status
}

/// Headers and body of a try: the genuine ones, unless a fault forges them.
fn dressed(
    core: &Core,
    call: &Call,
    n: u32,
    first: &mut Option<WebhookHeaders>,
) -> (WebhookHeaders, Bytes, Option<&'static str>) {
    if n == 1 && call.plan.has(Fault::CallbackTampered) {
        return (stamp(core, call, &call.genuine), call.conflicting.clone(), Some("tampered"));
    }
    if n == 1 && call.plan.has(Fault::CallbackWrongUser) {
        let now = core.clock.now().timestamp();
        let other = format!("{}-other", call.user_id);
        let headers = core.signer().sign(&call.request_id, &other, now, &call.conflicting);
        return (headers, call.conflicting.clone(), Some("wrong_user"));
    }
    let fault = call.plan.has(Fault::CallbackStale).then_some("stale");
    let fresh = || stamp(core, call, &call.genuine);
    let headers = if core.config.restamp { fresh() } else { first.get_or_insert_with(fresh).clone() };
    (headers, call.genuine.clone(), fault.or_else(|| body::fault(&call.plan)))
}

/// Signs a body for this moment, or for an hour ago when the request's webhooks are stale.
fn stamp(core: &Core, call: &Call, body: &[u8]) -> WebhookHeaders {
    let now = core.clock.now().timestamp();
    let timestamp = if call.plan.has(Fault::CallbackStale) { now - 3_600 } else { now };
    core.signer().sign(&call.request_id, &call.user_id, timestamp, body)
}

async fn post(core: &Core, call: &Call, headers: WebhookHeaders, body: Bytes, n: u32) -> Sent {
    let patience = if n == 1 { core.config.webhook_timeout_first } else { core.config.webhook_timeout_later };
    match core.post_callback(&call.url, &headers, body, patience).await {
        Ok(status) => Sent { status: Some(status), error: None },
        Err(error) => Sent { status: None, error: Some(error.without_url().to_string()) },
    }
}

impl Core {
    /// Posts a callback as it is, and returns the status code of the answer.
    pub(crate) async fn post_callback(
        &self,
        url: &str,
        headers: &WebhookHeaders,
        body: Bytes,
        patience: Duration,
    ) -> reqwest::Result<u16> {
        let mut request = self.client.post(url).header("content-type", "application/json").timeout(patience);
        for (name, value) in headers.pairs() {
            request = request.header(name, value);
        }
        Ok(request.body(body).send().await?.status().as_u16())
    }
}

fn call(core: &Core, index: usize) -> Option<Call> {
    let world = core.world();
    let request: &Request = &world.requests[index];
    let finished = request.finished.as_ref()?;
    let genuine = body::genuine(request, finished);
    let turned = body::turned(finished.kind == OutcomeKind::Ok, core.dice.bits(request.ordinal, "conflict", 0));
    let conflicting = body::envelope(request, turned.status, turned.error, turned.payload.as_bytes());
    Some(Call {
        index,
        ordinal: request.ordinal,
        request_id: request.id.clone(),
        user_id: world.accounts[request.account].user_id.clone(),
        url: request.webhook.clone()?,
        plan: request.plan.clone(),
        genuine,
        conflicting,
    })
}

fn is_lost(dice: Dice, call: &Call, n: u32) -> bool {
    let rates: &Faults = &call.plan.rates;
    let name = Fault::CallbackTryLost.name();
    call.plan.has(Fault::CallbackAllLost) || dice.hit(rates.callback_try_lost, call.ordinal, name, u64::from(n))
}

/// The simulated pause after the nth try.
fn backoff(core: &Core, n: u32) -> Duration {
    let factor = 1.5_f64.powi(i32::try_from(n - 1).unwrap_or(i32::MAX));
    let pause = core.config.webhook_backoff_first.as_secs_f64() * factor;
    Duration::try_from_secs_f64(pause).unwrap_or(Duration::MAX).min(core.config.webhook_backoff_longest)
}

/// Waits until another request's first try is over.
async fn park(core: &Core) {
    let (go, gone) = oneshot::channel();
    core.world().parked.push(go);
    // Alone in the world, it goes after all.
    let _ = tokio::time::timeout(core.clock.scaled(PARKED_MOST), gone).await;
}

/// Lets go those who waited for this webhook's first try: parked webhooks, and a submit that is answered after it.
fn release(core: &Core, call: &Call) {
    let mut world = core.world();
    for parked in std::mem::take(&mut world.parked) {
        // One that gave up waiting has dropped its end.
        let _ = parked.send(());
    }
    if let Some(told) = world.requests[call.index].first_try.take() {
        // The submit may have gone away in the meantime.
        let _ = told.send(());
    }
}

/// Writes a try down, where tests and the truth log find it.
fn note(core: &Core, call: &Call, n: u32, fault: Option<&str>, sent: Option<&Sent>) -> Option<u16> {
    let now = core.now();
    let (status, error) = sent.map_or((None, None), |sent| (sent.status, sent.error.clone()));
    let fault = fault.map(str::to_owned);
    let seen = TryView { n, tried_at: now.wall, status, fault, error };
    let mut world = core.world();
    if sent.is_some() {
        world.counts.webhooks_sent += 1;
    }
    let before = world.requests[call.index].tries.iter().any(TryView::delivered);
    if seen.delivered() && !before {
        world.counts.webhooks_delivered += 1;
    }
    world.truth.write(now.wall, Some(&call.request_id), TruthEvent::WebhookTry(seen.clone()));
    world.requests[call.index].tries.push(seen);
    drop(world);
    core.touch();
    status
}
