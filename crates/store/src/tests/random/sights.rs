//! What a reconciler sees of the truth at fal, and decides by it.

use super::model::{Held, Model, Stage, TIMEOUTS, millis, name_of};
use super::news::{News, Speaker};
use super::ops::{End, No, Sight};
use crate::settle::Source;
use bytes::Bytes;
use domain::{AttemptEvent, Charged, ErrorClass, Failure, OnUnknown, RequestId};

impl Model {
    /// What a reconciler makes of what it took, after design.md's table of looks.
    pub(super) fn look(&mut self, no: No, sight: Sight) -> Option<News> {
        let held = self.held.remove(&no)?;
        let decision = |event| News { by: Speaker::ReadAt(held.version), ..News::of(no, event, Source::Poll) };
        match &held.stage {
            Stage::LeaseRanOut => Some(decision(Some(AttemptEvent::LeaseExpired))),
            Stage::Submitted(name) => {
                let (event, body) = self.look_at_run(no, &held, name, sight)?;
                Some(News { body, ..News::of(no, Some(event), Source::Poll) })
            }
            Stage::Unknown(candidate) => {
                let attempt = self.attempts.get(&no)?;
                let age = held.at - attempt.claimed_at;
                let own = name_of(no);
                let confirmed = candidate.clone().filter(|name| {
                    sight != Sight::Away && self.run_of(name).is_some() && !self.bound.contains_key(name)
                });
                let listed = ![Sight::Away, Sight::NoHistory].contains(&sight)
                    && age >= millis(TIMEOUTS.history_after)
                    && self.runs.contains_key(&no)
                    && !self.bound.contains_key(&own);
                if let Some(name) = confirmed.or(listed.then_some(own)) {
                    return Some(News::of(no, Some(AttemptEvent::Bound(RequestId(name))), Source::History));
                }
                if age < millis(TIMEOUTS.history_after) {
                    return None;
                }
                if age >= millis(TIMEOUTS.abandon_after) {
                    return Some(decision(Some(AttemptEvent::GivenUp)));
                }
                let impatient = self.jobs.get(&attempt.job)?.on_unknown == OnUnknown::Impatient && !held.superseded;
                impatient.then(|| News { supersedes: true, ..decision(None) })
            }
        }
    }

    fn look_at_run(&mut self, no: No, held: &Held, name: &str, sight: Sight) -> Option<(AttemptEvent, Option<Bytes>)> {
        let claimed_at = self.attempts.get(&no)?.claimed_at;
        let id = RequestId(name.to_owned());
        let failed = |class, charged| AttemptEvent::ResultError(id.clone(), Failure { class, charged });
        let overdue = held.at - claimed_at >= millis(TIMEOUTS.start + TIMEOUTS.run);
        let (run, end) = self.run_of(name)?;
        match (end, sight) {
            (_, Sight::Away) => None,
            (None, Sight::Stops) if held.cancel_wanted || overdue => {
                self.runs.insert(run, Some(End::Stopped));
                Some(if held.cancel_wanted {
                    (AttemptEvent::CancelConfirmed(id, Charged::No), None)
                } else {
                    (failed(ErrorClass::TimeoutStart, Charged::No), None)
                })
            }
            (None, _) if held.at - claimed_at >= millis(TIMEOUTS.abandon_after) => {
                Some((failed(ErrorClass::TimeoutRun, Charged::Perhaps), None))
            }
            (None, _) => None,
            (Some(_), Sight::Gone) => Some((AttemptEvent::ResultGone(id), None)),
            (Some(End::Ok(_)), Sight::TooLarge) => Some((failed(ErrorClass::ResultTooLarge, Charged::Yes), None)),
            (Some(end @ End::Ok(_)), _) => Some((AttemptEvent::ResultOk(id), end.result().map(Bytes::from_static))),
            (Some(End::Stopped), _) if overdue && !held.cancel_wanted => {
                Some((failed(ErrorClass::TimeoutRun, Charged::Perhaps), None))
            }
            (Some(End::Stopped), _) => Some((AttemptEvent::CancelConfirmed(id, Charged::Perhaps), None)),
            (Some(end), _) => Some((AttemptEvent::ResultError(id, end.failure()), None)),
        }
    }
}
