//! A look at an attempt that fal has: its status, then its result.

use crate::look::{Finding, Reconciler, again, evidence, failed};
use domain::{AttemptEvent, Charged, ErrorClass, Failure, RequestId};
use failpoints::{Bug, Point};
use fal::{
    EndpointId,
    client::{CancelOutcome, ResultOutcome, StatusOutcome},
    taxonomy::Charge,
};
use std::time::Duration;
use store::{
    looks::DueLook,
    settle::{AttemptNews, Source},
};

/// After a 429, a refused key or an outage of fal, at the least.
const OUTAGE_WAIT: Duration = Duration::from_secs(2);

/// Asks fal about a request that it took.
pub(crate) async fn look(
    reconciler: &Reconciler<'_>,
    due: &DueLook,
    endpoint: &EndpointId,
    request_id: &RequestId,
) -> Finding {
    let overdue = due.now >= due.run_deadline;
    if (due.cancel_wanted || overdue)
        && let Some(finding) = cancel(reconciler, due, endpoint, request_id).await
    {
        return finding;
    }
    match reconciler.fal.status(endpoint, &request_id.0).await {
        StatusOutcome::Completed { error } => result(reconciler, due, endpoint, request_id, error.is_some()).await,
        StatusOutcome::InQueue { .. } | StatusOutcome::InProgress if due.now >= due.abandon_at => Finding {
            name: "never_ended",
            news: AttemptNews {
                message: Some("fal never reported an end".to_owned()),
                ..evidence(due, Some(failed(request_id, ErrorClass::TimeoutRun, Charged::Perhaps)), Source::Poll)
            },
        },
        StatusOutcome::InQueue { .. } => again(due, "in_queue", reconciler.pace(due)),
        StatusOutcome::InProgress => again(due, "in_progress", reconciler.pace(due)),
        StatusOutcome::NotFound => not_found(reconciler, due, endpoint, request_id).await,
        StatusOutcome::RateLimited { retry_after } => {
            let wait = retry_after.unwrap_or(OUTAGE_WAIT).min(reconciler.settings.poll_max);
            again(due, "rate_limited", wait.max(reconciler.pace(due)))
        }
        StatusOutcome::CredentialRefused { .. } => again(due, "credential_refused", OUTAGE_WAIT),
        StatusOutcome::Unavailable { .. } => again(due, "unavailable", OUTAGE_WAIT),
    }
}

/// Passes the wish for an end on to fal. Answers only where that settles the attempt.
async fn cancel(
    reconciler: &Reconciler<'_>,
    due: &DueLook,
    endpoint: &EndpointId,
    request_id: &RequestId,
) -> Option<Finding> {
    failpoints::hit(Point::CancelBeforeCall);
    let answer = reconciler.fal.cancel(endpoint, &request_id.0).await;
    failpoints::hit(Point::CancelAfterCall);
    let answer = match answer {
        CancelOutcome::Requested if failpoints::seeded(Bug::CancelBelieved) => CancelOutcome::Canceled,
        answer => answer,
    };
    match answer {
        // Removed before it ran: nothing is billed.
        CancelOutcome::Canceled => {
            let event = if due.cancel_wanted {
                AttemptEvent::CancelConfirmed(request_id.clone(), Charged::No)
            } else {
                failed(request_id, ErrorClass::TimeoutStart, Charged::No)
            };
            Some(Finding { name: "canceled", news: evidence(due, Some(event), Source::Poll) })
        }
        CancelOutcome::Requested
        | CancelOutcome::AlreadyCompleted
        | CancelOutcome::NotFound
        | CancelOutcome::Unavailable { .. } => None,
    }
}

/// Fetches the result. `said_error` tells whether the status spoke of an error of fal's machinery: a 5xx of that kind of
/// which the status knows nothing is trouble at fal's door, and would have us pay for the run again.
async fn result(
    reconciler: &Reconciler<'_>,
    due: &DueLook,
    endpoint: &EndpointId,
    request_id: &RequestId,
    said_error: bool,
) -> Finding {
    match reconciler.fal.result(endpoint, &request_id.0).await {
        ResultOutcome::Ok { body, billable_units } => Finding {
            name: "result",
            news: AttemptNews {
                result: Some(body),
                billable_units: units(billable_units.as_deref()),
                ..evidence(due, Some(AttemptEvent::ResultOk(request_id.clone())), Source::Poll)
            },
        },
        ResultOutcome::ModelError { class: ErrorClass::Canceled, charged, .. } => {
            let event = if due.cancel_wanted || due.now < due.run_deadline {
                AttemptEvent::CancelConfirmed(request_id.clone(), said(charged))
            } else {
                // We asked for it, since it ran too long: nobody wished the job's end.
                failed(request_id, ErrorClass::TimeoutRun, said(charged))
            };
            Finding { name: "canceled", news: evidence(due, Some(event), Source::Poll) }
        }
        ResultOutcome::ModelError {
            status: 500..,
            class: ErrorClass::Infrastructure | ErrorClass::TimeoutStart,
            ..
        } if !said_error => again(due, "unavailable", OUTAGE_WAIT),
        ResultOutcome::ModelError { class, message, charged, billable_units, .. } => {
            let failure = Failure { class, charged: said(charged) };
            Finding {
                name: "error",
                news: AttemptNews {
                    message: Some(message),
                    billable_units: units(billable_units.as_deref()),
                    ..evidence(due, Some(AttemptEvent::ResultError(request_id.clone(), failure)), Source::Poll)
                },
            }
        }
        ResultOutcome::Gone => gone(due, request_id),
        ResultOutcome::TooLarge => Finding {
            name: "too_large",
            news: AttemptNews {
                message: Some("the result is larger than we are set to read".to_owned()),
                ..evidence(due, Some(failed(request_id, ErrorClass::ResultTooLarge, Charged::Yes)), Source::Poll)
            },
        },
        ResultOutcome::NotReady => again(due, "not_ready", reconciler.pace(due)),
        ResultOutcome::RateLimited { retry_after } => {
            let wait = retry_after.unwrap_or(OUTAGE_WAIT).min(reconciler.settings.poll_max);
            again(due, "rate_limited", wait.max(reconciler.pace(due)))
        }
        ResultOutcome::CredentialRefused { .. } => again(due, "credential_refused", OUTAGE_WAIT),
        ResultOutcome::Unavailable { .. } => again(due, "unavailable", OUTAGE_WAIT),
    }
}

/// fal says that it knows no such request. Right after the submit that means nothing yet; later the result may still be
/// there although the status is not; and when that is gone too, so is the run.
async fn not_found(
    reconciler: &Reconciler<'_>,
    due: &DueLook,
    endpoint: &EndpointId,
    request_id: &RequestId,
) -> Finding {
    let since = due.submitted_at.unwrap_or(due.claimed_at);
    if due.now - since < chrono::TimeDelta::from_std(reconciler.settings.unknown_grace).unwrap_or_default() {
        return again(due, "not_visible_yet", reconciler.pace(due));
    }
    match result(reconciler, due, endpoint, request_id, false).await {
        found if found.name == "not_ready" => gone(due, request_id),
        found => found,
    }
}

fn gone(due: &DueLook, request_id: &RequestId) -> Finding {
    Finding {
        name: "result_gone",
        news: AttemptNews {
            message: Some("fal no longer holds the result".to_owned()),
            ..evidence(due, Some(AttemptEvent::ResultGone(request_id.clone())), Source::Poll)
        },
    }
}

fn units(text: Option<&str>) -> Option<rust_decimal::Decimal> {
    text?.trim().parse().ok()
}

const fn said(charge: Charge) -> Charged {
    match charge {
        Charge::No => Charged::No,
        Charge::Maybe => Charged::Perhaps,
        Charge::Yes => Charged::Yes,
    }
}
