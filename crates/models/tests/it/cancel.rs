//! Cancels, retries and late results, in every order.

use crate::table::{breaks, fails_only, holds};
use domain::OnUnknown::{Impatient, Operator, Patient};
use models::{
    protocol::named,
    setup::{Broken, Limits, Setup},
};

/// One wish for the end, and one run that fails.
const WISH: Limits = Limits {
    crashes: 0,
    cancels: 1,
    words: 0,
    errors: 1,
    not_sent: 0,
    pauses: 0,
    losses: 0,
    stale: 0,
    doubts: 0,
    forgotten: 0,
};

#[test]
fn a_cancel_waits_for_fal_and_a_result_that_comes_first_wins() {
    let patient = || Setup::shipped(Patient);
    holds("cancel, retry", &patient().with(WISH));
    let briefly = || Setup { tries: 1, ..patient() };
    holds("cancel, retry, crash", &briefly().with(Limits { crashes: 1, ..WISH }));
    holds("cancel, retry, commits in doubt", &briefly().with(Limits { doubts: 1, ..WISH }));
    holds("cancel, retry, stale stamps", &briefly().with(Limits { stale: 1, ..WISH }));
    holds("cancel, pushed back", &briefly().with(Limits { not_sent: 1, errors: 0, ..WISH }));
}

#[test]
fn a_cancel_of_an_operators_job_waits_for_fal_or_a_person() {
    let operator = Setup { tries: 1, ..Setup::shipped(Operator) };
    holds("cancel, operator", &operator.clone().with(WISH));
    // What a person gives up is not looked for any more: after that its callback names it, or the audit.
    let spoken = operator.with(Limits { words: 1, errors: 0, ..WISH });
    fails_only("cancel, operator, a person's word", &spoken, &[named::NOT_LOST, named::NOTED]);
}

/// See `an_impatient_job_is_paid_for_once_more_at_most`; here the second attempt fails while the first still runs.
#[test]
fn a_cancel_of_an_impatient_job_loses_no_money() {
    let impatient = Setup { tries: 1, ..Setup::shipped(Impatient) };
    fails_only("cancel, impatient", &impatient.clone().with(Limits { errors: 0, ..WISH }), &[named::NOT_LOST]);
    fails_only("retry, impatient", &impatient.with(Limits { cancels: 0, ..WISH }), &[named::NOT_LOST]);
}

#[test]
fn every_mistake_with_a_cancel_is_found() {
    let patient = || Setup::shipped(Patient).with(WISH);
    breaks("a cancel does not wait", &patient().but(Broken::CancelDoesNotWait), named::CANCEL_WAITS);
    breaks("a cancel does not wait: lost", &patient().but(Broken::CancelDoesNotWait), named::NOT_LOST);
    breaks("a cancel ignores a result", &patient().but(Broken::CancelIgnoresResult), named::NOT_LOST);
    breaks("no state guard", &patient().but(Broken::NoStateGuard), named::NO_REGRESS);
}
