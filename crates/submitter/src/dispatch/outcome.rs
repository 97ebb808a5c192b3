//! What follows from the outcome of a POST. One `match`, no wildcard: a new outcome does not compile until it is here.

use domain::{AttemptEvent, Charged, ErrorClass, Failure, RequestId};
use fal::{client::SubmitOutcome, endpoint_id::EndpointIdError};
use std::time::Duration;
use store::{
    circuits::Trouble,
    claim::Claimed,
    settle::{AttemptNews, Guard, Source},
};

/// How long nothing is sent for a key that fal refuses. Then one job asks again, and so on until fal takes it.
const CREDENTIAL_PAUSE: Duration = Duration::from_secs(5);
/// How long nothing is sent after a 429 that does not say how long to wait.
const RATE_LIMIT_PAUSE: Duration = Duration::from_secs(1);
/// How long nothing is sent when fal cannot be reached, or fails with a model.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);

/// Says what the store is to record, and the outcome's name in logs and metrics.
pub(super) fn news(claimed: &Claimed, outcome: SubmitOutcome, first_look: Duration) -> (&'static str, AttemptNews) {
    let lease = Guard::Lease { fence: claimed.fence };
    let news = |event, guard| AttemptNews::of(claimed.attempt, Some(event), guard, Source::Submit);
    let trouble = |model: &str, cause: &str, pause| {
        Some(Trouble { credential: claimed.credential, model: model.to_owned(), cause: cause.to_owned(), pause })
    };
    match outcome {
        SubmitOutcome::Accepted { request_id, gateway_request_id } => {
            let event = AttemptEvent::Bound(RequestId(request_id));
            let next_look = Some(first_look);
            ("accepted", AttemptNews { gateway_request_id, next_look, ..news(event, Guard::Evidence) })
        }
        SubmitOutcome::NotSent { message } => {
            let trouble = trouble("", &message, OUTAGE_PAUSE);
            ("not_sent", AttemptNews { message: Some(message), trouble, ..news(AttemptEvent::NotSent, lease) })
        }
        SubmitOutcome::Refused { status, class, message } => {
            let failure = Failure { class, charged: Charged::No };
            let trouble = if status >= 500 { trouble(&claimed.model, &message, OUTAGE_PAUSE) } else { None };
            let event = AttemptEvent::Refused(failure);
            ("refused", AttemptNews { message: Some(message), trouble, ..news(event, lease) })
        }
        SubmitOutcome::RateLimited { retry_after, message } => {
            let event = AttemptEvent::PushedBack { class: ErrorClass::RateLimited };
            let trouble = trouble("", &message, retry_after.unwrap_or(RATE_LIMIT_PAUSE));
            ("rate_limited", AttemptNews { message: Some(message), retry_after, trouble, ..news(event, lease) })
        }
        SubmitOutcome::CredentialRefused { message, .. } => {
            let event = AttemptEvent::PushedBack { class: ErrorClass::Credential };
            let trouble = trouble("", &message, CREDENTIAL_PAUSE);
            ("credential_refused", AttemptNews { message: Some(message), trouble, ..news(event, lease) })
        }
        SubmitOutcome::Unknown { message } => {
            let next_look = Some(first_look);
            ("unknown", AttemptNews { message: Some(message), next_look, ..news(AttemptEvent::NoAnswer, lease) })
        }
    }
}

/// A model id that was stored and cannot be sent. Only an older release with laxer rules could have let it in.
pub(super) fn unusable_model(error: EndpointIdError) -> SubmitOutcome {
    SubmitOutcome::Refused { status: 0, class: ErrorClass::UnknownModel, message: error.to_string() }
}
