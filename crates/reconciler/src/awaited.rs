//! A look at an attempt that somebody else may have sent with a callback URL of ours: by a candidate request id, or by time.
//!
//! Its input is not known here, so fal's history and bills cannot name it: a request of the same model at about the time may
//! be anybody's. fal is asked about a request id that a callback named, and for nothing else.

use crate::{
    look::{Finding, Reconciler, again, decision},
    unknown,
};
use domain::{AttemptEvent, RequestId};
use fal::EndpointId;
use store::{looks::DueLook, settle::AttemptNews};

/// Asks whether the candidate is ours, and gives the attempt up once its callback URL has expired.
pub(crate) async fn look(
    reconciler: &Reconciler<'_>,
    due: &DueLook,
    endpoint: &EndpointId,
    candidate: Option<&RequestId>,
) -> Finding {
    let named = unknown::look_at_candidate(reconciler, due, endpoint, candidate).await;
    let answered = match named {
        unknown::Named::Ours(finding) => return *finding,
        unknown::Named::Not => true,
        unknown::Named::Unanswered => false,
    };
    if unknown::is_over(due, answered) {
        let message = Some("no callback came before its URL expired".to_owned());
        let next_look = Some(reconciler.settings.poll_max);
        let news = AttemptNews { message, next_look, ..decision(due, Some(AttemptEvent::GivenUp)) };
        return Finding { name: "expired", news };
    }
    let left = (due.abandon_at - due.now).to_std().unwrap_or_default();
    let wait = match candidate {
        None => left,
        Some(_) if left.is_zero() => unknown::wait(due, reconciler),
        // fal may show a request late.
        Some(_) => unknown::wait(due, reconciler).min(left),
    };
    again(due, "awaited", wait)
}
