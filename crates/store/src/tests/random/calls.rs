//! What the model makes of callbacks.

use super::model::{Call, Model, is_open};
use super::news::{News, Speaker};
use super::ops::No;
use crate::settle::{Disposition, KeptCause, RejectedCause, Said, Source};
use domain::{AttemptEvent, ErrorClass};

impl Model {
    pub(super) fn receive(&mut self, calls: &[(No, Call, bool)]) -> Vec<Disposition> {
        let judged: Vec<_> = calls.iter().map(|(_, call, again)| (call.clone(), *again)).collect();
        let answers = self.judge_all(&judged);
        for ((no, call, _), answer) in calls.iter().zip(&answers) {
            let kept = self.callbacks.entry(*no).or_insert_with(|| call.clone());
            if kept.disposition.0 != "applied" {
                kept.disposition = answer.names();
            }
            self.reached(answer.names().1.unwrap_or(answer.names().0));
        }
        answers
    }

    /// What becomes of callbacks that come in one batch. Those who tell whose account it is are counted at its end.
    fn judge_all(&mut self, calls: &[(Call, bool)]) -> Vec<Disposition> {
        let mut witnesses = Vec::new();
        let answers = calls.iter().map(|(call, again)| self.judge(call, *again, &mut witnesses)).collect();
        for ours in witnesses {
            if self.pinned.is_none() {
                self.seen = if self.seen.0 == ours { (ours, self.seen.1 + 1) } else { (ours, 1) };
            }
        }
        if self.pinned.is_none() && self.seen.1 >= crate::credentials::WITNESSES {
            self.pinned = Some(self.seen.0);
            self.reached("our user id learnt");
        }
        answers
    }

    fn judge(&mut self, call: &Call, again: bool, witnesses: &mut Vec<bool>) -> Disposition {
        if self.pinned.is_some_and(|ours| ours != call.ours) {
            return Disposition::Rejected(RejectedCause::WrongUser);
        }
        let unpinned = self.pinned.is_none();
        let holder = self.bound.get(&call.request_id.0).map(|(holder, _)| *holder);
        let Some(attempt) = self.attempts.get_mut(&call.attempt) else {
            return Disposition::Kept(KeptCause::UnknownAttempt);
        };
        match &attempt.request_id {
            Some(bound) if *bound != call.request_id.0 => return Disposition::Rejected(RejectedCause::WrongRequest),
            None if holder.is_some_and(|holder| holder != call.attempt) => {
                return Disposition::Rejected(RejectedCause::WrongRequest);
            }
            None if unpinned => {
                attempt.candidate = Some(call.request_id.0.clone());
                return Disposition::Kept(KeptCause::UserUnpinned);
            }
            Some(_) | None => {}
        }
        if unpinned && is_open(attempt.state) && attempt.bound_by == Some("submit") {
            witnesses.push(call.ours);
        }
        let stale = self.now / 1000 - call.signed_at > 300 && !again;
        let unasked = is_open(attempt.state) && !attempt.cancel_wanted && !self.jobs[&attempt.job].cancel_armed;
        let unasked =
            unasked && matches!(&call.said, Said::Error { failure, .. } if failure.class == ErrorClass::Canceled);
        let id = call.request_id.clone();
        let (event, body) = match &call.said {
            Said::Unusable(_) => (AttemptEvent::Bound(id), None),
            _ if stale || unasked => (AttemptEvent::Bound(id), None),
            Said::Ok(body) => (AttemptEvent::ResultOk(id), Some(body.clone())),
            Said::Error { failure, .. } => (AttemptEvent::ResultError(id, *failure), None),
        };
        let outcome = self.hear(&News {
            attempt: call.attempt,
            event: Some(event),
            by: Speaker::Anyone,
            source: Source::Callback,
            body: body.clone(),
            retry_after: None,
            supersedes: false,
        });
        match &call.said {
            _ if stale => return Disposition::Kept(KeptCause::StaleStamp),
            Said::Unusable(cause) => return Disposition::Kept(*cause),
            _ if unasked => return Disposition::Kept(KeptCause::UnaskedCancel),
            _ if outcome.conflict => return Disposition::Kept(KeptCause::Conflict),
            _ if outcome.attempt_changed => return Disposition::Applied,
            _ => {}
        }
        let stored = self.attempts[&call.attempt].result.as_ref().map(|(_, stored)| stored);
        match (body, stored) {
            (Some(body), Some(stored)) if !same_value(&body, stored) => Disposition::Kept(KeptCause::Conflict),
            _ => Disposition::Duplicate,
        }
    }
}

fn same_value(one: &[u8], other: &[u8]) -> bool {
    let parse = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    one == other || matches!((parse(one), parse(other)), (Some(one), Some(other)) if one == other)
}
