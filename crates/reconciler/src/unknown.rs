//! A look at an attempt of which nobody knows whether fal has it: by a candidate request id, by fal's history, by its
//! bills where it lists no history, by time.
//!
//! A callback may resolve it at any moment, so nothing here is decided from silence before `abandon_at`.

use crate::{
    history::{Next, Place, Window},
    look::{Finding, Reconciler, again, decision, evidence},
    unknown_bill,
};
use chrono::TimeDelta;
use domain::{AttemptEvent, OnUnknown, RequestId};
use fal::{EndpointId, client::StatusOutcome};
use serde_json::Value;
use std::time::Duration;
use store::{
    looks::{self, DueLook},
    settle::{AttemptNews, Source},
};

/// fal's clock and ours may differ by this much.
pub(crate) const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);
/// Pages of history that one look goes through, newest first: enough for what ended since the look before.
const PAGES_MAX: usize = 10;
/// Pages that it goes through before an attempt is given up. An account of 40 slots that runs a model of two seconds fills
/// [`PAGES_MAX`] within a minute, so what ended while nobody looked stands further back.
const PAGES_LAST: usize = 1_000;
/// Looks after which an attempt may be given up although fal did not answer the last of them: one that just came back
/// from an outage of ours has had none.
const LOOKS_UNANSWERED: u32 = 20;

/// Tries to learn what became of an attempt whose POST got no usable answer.
pub(crate) async fn look(
    reconciler: &Reconciler<'_>,
    due: &DueLook,
    endpoint: &EndpointId,
    candidate: Option<&RequestId>,
    seed: Option<i64>,
    input: &[u8],
) -> Finding {
    let mut answered = match look_at_candidate(reconciler, due, endpoint, candidate).await {
        Named::Ours(finding) => return *finding,
        Named::Not => true,
        Named::Unanswered => false,
    };
    let age = due.now - due.claimed_at;
    let history_after = TimeDelta::from_std(reconciler.settings.history_after).unwrap_or_default();
    if age < history_after {
        return again(due, "too_early", (history_after - age).to_std().unwrap_or_default());
    }
    if reconciler.history.is_listed(&due.model) {
        match find_in_history(reconciler, due, endpoint, seed, input).await {
            Search::Found(request_id) => return bound(due, request_id, "found_in_history"),
            Search::NotThere => {}
            Search::Unanswered => answered = false,
        }
    }
    if !reconciler.history.is_listed(&due.model) {
        match unknown_bill::find(reconciler, due).await {
            Search::Found(request_id) => return bound(due, request_id, "found_in_bills"),
            Search::NotThere => {}
            Search::Unanswered => answered = false,
        }
    }
    if is_over(due, answered) {
        let message = Some("nothing was found of it within `abandon_after`".to_owned());
        let next_look = Some(after_the_last(due, reconciler));
        let news = AttemptNews { message, next_look, ..decision(due, Some(AttemptEvent::GivenUp)) };
        return Finding { name: "given_up", news };
    }
    let left = (due.abandon_at - due.now).to_std().unwrap_or_default();
    let wait = if left.is_zero() { wait(due, reconciler) } else { wait(due, reconciler).min(left) };
    if due.on_unknown == OnUnknown::Impatient && !due.superseded {
        let news = AttemptNews { supersede_unknown: true, next_look: Some(wait), ..decision(due, None) };
        return Finding { name: "superseded", news };
    }
    again(due, "still_unknown", wait)
}

/// What became of a candidate.
pub(crate) enum Named {
    /// fal answers for it with our key, and nobody else owns it.
    Ours(Box<Finding>),
    /// There is none, or it is somebody else's.
    Not,
    /// fal did not say.
    Unanswered,
}

/// Asks fal about the request id that a callback named while nobody knew for whom fal signs.
pub(crate) async fn look_at_candidate(
    reconciler: &Reconciler<'_>,
    due: &DueLook,
    endpoint: &EndpointId,
    candidate: Option<&RequestId>,
) -> Named {
    let Some(candidate) = candidate else { return Named::Not };
    if is_taken(reconciler, due, candidate).await {
        return Named::Not;
    }
    match is_ours(reconciler, endpoint, candidate).await {
        Some(true) => Named::Ours(Box::new(bound(due, candidate.clone(), "candidate_confirmed"))),
        Some(false) => Named::Not,
        None => Named::Unanswered,
    }
}

/// When an attempt that was to be given up is looked at again, where its job's policy leaves that to a person. Such a look
/// reads far back each time, and what it may still find comes without haste.
fn after_the_last(due: &DueLook, reconciler: &Reconciler<'_>) -> Duration {
    match due.on_unknown {
        OnUnknown::Operator => Duration::from_mins(10),
        OnUnknown::Patient | OnUnknown::Impatient => reconciler.settings.poll_max,
    }
}

/// Looks at an unknown attempt come steadily until fal's history must have caught up, and then grow apart, since what is
/// not found by then is found by its callback or not for long.
pub(crate) fn wait(due: &DueLook, reconciler: &Reconciler<'_>) -> Duration {
    let settings = &reconciler.settings;
    let steady = settings.poll_max.min(settings.history_after / 2 + Duration::from_secs(1));
    let caught_up = TimeDelta::from_std(settings.history_after + settings.history_lag).unwrap_or(TimeDelta::MAX);
    if due.now - due.claimed_at < caught_up {
        return steady;
    }
    let grown = steady.mul_f64(1.3f64.powi(i32::try_from(due.looks.min(20)).unwrap_or(20)));
    grown.min(Duration::from_mins(5))
}

/// Whether the attempt is given up now. That fal did not answer says nothing of the attempt, so it is asked for as long
/// again: whoever was away himself until `abandon_at` would else pay twice for one answer that was missing.
pub(crate) fn is_over(due: &DueLook, answered: bool) -> bool {
    let asked_enough = due.looks >= LOOKS_UNANSWERED && due.now - due.abandon_at >= due.abandon_at - due.claimed_at;
    due.now >= due.abandon_at && (answered || asked_enough)
}

/// Whether another attempt has come to own the candidate. To take it for ours would be a conflict at every look, so that
/// the attempt would never be found in history, superseded or given up.
async fn is_taken(reconciler: &Reconciler<'_>, due: &DueLook, candidate: &RequestId) -> bool {
    let bound = looks::bound_among(reconciler.store, due.credential, std::slice::from_ref(&candidate.0)).await;
    bound.is_ok_and(|bound| !bound.is_empty())
}

/// Whether fal answers for this request with our key: then it is our account's, whoever told us of it. Nothing where fal
/// did not say.
async fn is_ours(reconciler: &Reconciler<'_>, endpoint: &EndpointId, candidate: &RequestId) -> Option<bool> {
    match reconciler.fal.status(endpoint, &candidate.0).await {
        StatusOutcome::InQueue { .. } | StatusOutcome::InProgress | StatusOutcome::Completed { .. } => Some(true),
        StatusOutcome::NotFound => Some(false),
        StatusOutcome::RateLimited { .. }
        | StatusOutcome::CredentialRefused { .. }
        | StatusOutcome::Unavailable { .. } => None,
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

/// What a search of fal's history or bills came to.
pub(crate) enum Search {
    Found(RequestId),
    /// All of it was read, or there is none for this key.
    NotThere,
    /// Some of it was not read.
    Unanswered,
}

/// Searches fal's history for a run of the same model, in the window around our POST, with the same input, that no other
/// attempt owns. Equal inputs may be matched in any order: they are worth the same to the same project.
async fn find_in_history(
    reconciler: &Reconciler<'_>,
    due: &DueLook,
    endpoint: &EndpointId,
    seed: Option<i64>,
    input: &[u8],
) -> Search {
    let sent = match seed {
        Some(seed) => fal::seeds::with_seed(input, seed.unsigned_abs()),
        None => input.to_vec().into(),
    };
    let Ok(sent) = serde_json::from_slice::<Value>(&sent) else {
        return Search::NotThere;
    };
    let sent = reconciler.history.fingerprint(&sent);
    // Past its run deadline fal cannot have been running it.
    let (start, end) = (due.claimed_at - CLOCK_SKEW, due.now.min(due.run_deadline) + CLOCK_SKEW);
    let window = Window { start, end };
    let is_last_look = due.now >= due.abandon_at;
    let reading = reconciler.history.reading(due, window);
    let mut pages_left = if is_last_look { PAGES_LAST } else { PAGES_MAX };
    // The reading's window is somewhat wider; the bound is there in case that a list never ends.
    for number in 0..2 * PAGES_LAST {
        let page = match reconciler.history.page(&reading, endpoint, number).await {
            Next::Page(page) => page,
            Next::End => return Search::NotThere,
            Next::Unanswered => return Search::Unanswered,
        };
        let matching = page.items.iter().filter(|item| item.input == sent && window.holds(item));
        match first_unbound(reconciler, due, matching.map(|item| item.request_id.to_string()).collect()).await {
            Ok(Some(free)) => return Search::Found(RequestId(free)),
            Ok(None) => {}
            Err(_) => return Search::Unanswered,
        }
        if page.is_last {
            return Search::NotThere;
        }
        match window.place(&page) {
            Place::Within => pages_left -= 1,
            // The last look does not rely on the order of fal's list.
            Place::Before if !is_last_look => return Search::Unanswered,
            Place::Before | Place::Behind => {}
        }
        if pages_left == 0 {
            break;
        }
    }
    Search::Unanswered
}

async fn first_unbound(
    reconciler: &Reconciler<'_>,
    due: &DueLook,
    request_ids: Vec<String>,
) -> store::error::Result<Option<String>> {
    if request_ids.is_empty() {
        return Ok(None);
    }
    let bound = looks::bound_among(reconciler.store, due.credential, &request_ids).await?;
    Ok(request_ids.into_iter().find(|id| !bound.contains(id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use domain::{AttemptId, CredentialId, JobId};
    use store::looks::Stage;
    use uuid::Uuid;

    /// Claimed at 0, to be given up after 3 hours, and looked at now.
    fn due(hours: i64, looks: u32) -> DueLook {
        let claimed_at = DateTime::UNIX_EPOCH;
        DueLook {
            attempt: AttemptId(Uuid::nil()),
            job: JobId(Uuid::nil()),
            credential: CredentialId(Uuid::nil()),
            model: "fal-ai/flux/dev".to_owned(),
            stage: Stage::Unknown { candidate: None, seed: None, input: Vec::new() },
            version: 2,
            looks,
            claimed_at,
            submitted_at: None,
            run_deadline: claimed_at + TimeDelta::minutes(70),
            abandon_at: claimed_at + TimeDelta::hours(3),
            cancel_wanted: false,
            superseded: false,
            on_unknown: OnUnknown::Patient,
            estimated: None,
            now: claimed_at + TimeDelta::hours(hours),
            late_seconds: 0.0,
        }
    }

    #[test]
    fn an_attempt_is_given_up_on_an_answer_and_not_on_silence() {
        assert!(!is_over(&due(2, 100), true), "its time has not come");
        assert!(is_over(&due(3, 0), true));
        assert!(!is_over(&due(3, 100), false), "fal is asked for as long again");
        assert!(!is_over(&due(12, 1), false), "we were away ourselves, and fal has hardly been asked");
        assert!(is_over(&due(12, LOOKS_UNANSWERED), false), "no job waits for ever");
    }
}
