//! A look at an attempt of which nobody knows whether fal has it: by a candidate request id, by fal's history, by time.
//!
//! A callback may resolve it at any moment, so nothing here is decided from silence before `abandon_at`.

use crate::look::{Finding, Reconciler, again, decision, evidence};
use chrono::TimeDelta;
use domain::{AttemptEvent, OnUnknown, RequestId};
use fal::{
    EndpointId,
    client::{HistoryItem, ListingOutcome, StatusOutcome},
};
use serde_json::Value;
use std::time::Duration;
use store::{
    looks::{self, DueLook},
    settle::{AttemptNews, Source},
};

/// fal's clock and ours may differ by this much.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);
/// Pages of history that one look reads.
const PAGES_MAX: u32 = 10;

/// Tries to learn what became of an attempt whose POST got no usable answer.
pub(crate) async fn look(
    reconciler: &Reconciler,
    due: &DueLook,
    endpoint: &EndpointId,
    candidate: Option<&RequestId>,
    seed: Option<i64>,
    input: &[u8],
) -> Finding {
    if let Some(candidate) = candidate
        && is_ours(reconciler, endpoint, candidate).await
    {
        return bound(due, candidate.clone(), "candidate_confirmed");
    }
    let age = due.now - due.claimed_at;
    let history_after = TimeDelta::from_std(reconciler.settings.history_after).unwrap_or_default();
    if age < history_after {
        return again(due, "too_early", (history_after - age).to_std().unwrap_or_default());
    }
    if reconciler.history_is_on()
        && let Some(request_id) = find_in_history(reconciler, due, endpoint, seed, input).await
    {
        return bound(due, request_id, "found_in_history");
    }
    if due.now >= due.abandon_at {
        let message = Some("nothing was found of it within `abandon_after`".to_owned());
        let wait = Some(reconciler.settings.poll_max);
        let news = AttemptNews { message, next_look: wait, ..decision(due, Some(AttemptEvent::GivenUp)) };
        return Finding { name: "given_up", news };
    }
    let left = (due.abandon_at - due.now).to_std().unwrap_or_default();
    let wait = wait(due, reconciler).min(left);
    if due.on_unknown == OnUnknown::Impatient && !due.superseded {
        let news = AttemptNews { supersede_unknown: true, next_look: Some(wait), ..decision(due, None) };
        return Finding { name: "superseded", news };
    }
    again(due, "still_unknown", wait)
}

/// Looks at an unknown attempt come steadily until fal's history must have caught up, and then grow apart, since what is
/// not found by then is found by its callback or not for long.
fn wait(due: &DueLook, reconciler: &Reconciler) -> Duration {
    let settings = &reconciler.settings;
    let steady = settings.poll_max.min(settings.history_after / 2 + Duration::from_secs(1));
    let caught_up = TimeDelta::from_std(settings.history_after + settings.history_lag).unwrap_or(TimeDelta::MAX);
    if due.now - due.claimed_at < caught_up {
        return steady;
    }
    let grown = steady.mul_f64(1.3f64.powi(i32::try_from(due.looks.min(20)).unwrap_or(20)));
    grown.min(Duration::from_mins(5))
}

/// Whether fal answers for this request with our key: then it is our account's, whoever told us of it.
async fn is_ours(reconciler: &Reconciler, endpoint: &EndpointId, candidate: &RequestId) -> bool {
    match reconciler.fal.status(endpoint, &candidate.0).await {
        StatusOutcome::InQueue { .. } | StatusOutcome::InProgress | StatusOutcome::Completed { .. } => true,
        StatusOutcome::NotFound
        | StatusOutcome::RateLimited { .. }
        | StatusOutcome::CredentialRefused { .. }
        | StatusOutcome::Unavailable { .. } => false,
    }
}

fn bound(due: &DueLook, request_id: RequestId, name: &'static str) -> Finding {
    let news = AttemptNews {
        // fal has it, and may have finished: the next look comes at once.
        next_look: Some(Duration::ZERO),
        ..evidence(due, Some(AttemptEvent::Bound(request_id)), Source::History)
    };
    Finding { name, news }
}

/// Searches fal's history for a run of the same model, in the window around our POST, with the same input, that no other
/// attempt owns. Equal inputs may be matched in any order: they are worth the same to the same project.
async fn find_in_history(
    reconciler: &Reconciler,
    due: &DueLook,
    endpoint: &EndpointId,
    seed: Option<i64>,
    input: &[u8],
) -> Option<RequestId> {
    let sent = match seed {
        Some(seed) => fal::seeds::with_seed(input, seed.unsigned_abs()),
        None => input.to_vec().into(),
    };
    let sent: Value = serde_json::from_slice(&sent).ok()?;
    let (start, end) = (due.claimed_at - CLOCK_SKEW, due.now + CLOCK_SKEW);
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let (items, next) = match reconciler.fal.history(endpoint, start, end, cursor.as_deref()).await {
            ListingOutcome::Page { items, next_cursor } => (items, next_cursor),
            ListingOutcome::Refused { status, .. } => {
                reconciler.refuse_history(status);
                return None;
            }
            ListingOutcome::Unavailable { .. } => return None,
        };
        let matching: Vec<String> =
            items.iter().filter(|item| is_match(item, &sent, due)).map(|item| item.request_id.clone()).collect();
        if let Some(free) = first_unbound(reconciler, due, matching).await {
            return Some(RequestId(free));
        }
        cursor = Some(next?);
    }
    None
}

fn is_match(item: &HistoryItem, sent: &Value, due: &DueLook) -> bool {
    let in_window = item.sent_at.is_none_or(|at| at >= due.claimed_at - CLOCK_SKEW);
    let same_input = item
        .json_input
        .as_ref()
        .and_then(|input| serde_json::from_str::<Value>(input.get()).ok())
        .is_some_and(|input| input == *sent);
    in_window && same_input && item.endpoint_id == due.model
}

async fn first_unbound(reconciler: &Reconciler, due: &DueLook, request_ids: Vec<String>) -> Option<String> {
    if request_ids.is_empty() {
        return None;
    }
    let bound = looks::bound_among(&reconciler.store, due.credential, &request_ids).await.ok()?;
    request_ids.into_iter().find(|id| !bound.contains(id))
}
