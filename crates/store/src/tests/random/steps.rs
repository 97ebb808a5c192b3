//! The model's tables: what an event makes of an attempt, and what that makes of its job.

use super::model::{self, Attempt, Job, passes};
use domain::{AttemptEvent, Charged, ErrorClass, Failure, OnUnknown};
use std::time::Duration;

/// What is to become of an attempt.
pub(super) enum Step {
    To(&'static str, Option<Failure>),
    /// Nothing but fal's name for it, where that is new.
    Name,
    LateOk,
    Contradiction,
}

pub(super) fn step(attempt: &Attempt, job: &Job, event: &AttemptEvent) -> Step {
    use AttemptEvent::{
        Bound, CancelConfirmed, GivenUp, LeaseExpired, NoAnswer, NotSent, PushedBack, Refused, ResultError, ResultGone,
        ResultOk,
    };
    let failed = |class, charged| Some(Failure { class, charged });
    let over = model::has_ended(job);
    let may_give_up = job.on_unknown != OnUnknown::Operator || over;
    match (attempt.state, event) {
        ("submitting", NotSent) => Step::To("failed", failed(ErrorClass::NotSent, Charged::No)),
        ("submitting", Refused(failure)) => Step::To("failed", Some(*failure)),
        ("submitting", PushedBack { class }) => Step::To("failed", failed(*class, Charged::No)),
        ("submitting", NoAnswer | LeaseExpired) => Step::To("unknown", None),
        ("unknown", GivenUp) if may_give_up => Step::To("abandoned", failed(ErrorClass::Abandoned, Charged::Perhaps)),
        ("submitting" | "unknown", Bound(_)) => Step::To("submitted", None),
        ("submitting" | "unknown" | "submitted", ResultOk(_)) => Step::To("succeeded", None),
        ("submitting" | "unknown" | "submitted", ResultError(_, failure)) => Step::To("failed", Some(*failure)),
        ("submitting" | "unknown" | "submitted", ResultGone(_)) => {
            Step::To("expired", failed(ErrorClass::ResultExpired, Charged::Yes))
        }
        ("submitting" | "unknown" | "submitted", CancelConfirmed(_, charged)) => {
            Step::To("canceled", failed(ErrorClass::Canceled, *charged))
        }
        ("succeeded", ResultError(..) | CancelConfirmed(..)) => Step::Contradiction,
        ("failed" | "canceled" | "abandoned" | "expired", ResultOk(_)) if over => Step::LateOk,
        ("failed" | "canceled" | "abandoned" | "expired", ResultOk(_)) => Step::To("succeeded", None),
        _ => Step::Name,
    }
}

/// What a job becomes when one of its attempts has come to `state`; nothing where it stays as it is.
pub(super) fn job_after(job: &Job, state: &str, failure: Option<Failure>, superseded: bool) -> Option<&'static str> {
    match (job.state, state) {
        ("queued" | "running", "succeeded") => Some("succeeded"),
        ("running", "failed" | "canceled" | "abandoned" | "expired") if !superseded => {
            let class = failure.unwrap().class;
            if class == ErrorClass::Canceled || job.cancel_armed {
                Some("canceled")
            } else if passes(class) && job.made < job.max {
                Some("queued")
            } else {
                Some("failed")
            }
        }
        _ => None,
    }
}

/// Milliseconds of back-off after an attempt that drew [`model::DICE`].
pub(super) fn back_off(number: u16, asked: Option<Duration>) -> i64 {
    let policy = super::fixture::RETRY;
    let doubled = policy.first.mul_f64(2f64.powi(i32::from(number) - 1)).min(policy.longest).mul_f64(model::DICE);
    model::millis(asked.map_or(doubled, |asked| asked + doubled.min(policy.first)))
}
