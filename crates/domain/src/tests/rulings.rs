//! The two tables of transitions as they were ruled, row by row and by hand. The snapshot beside this file can be
//! accepted in passing; these rows cannot.

use super::world::{LASTING, PASSING, a_queued_job, id, request};
use crate::lifecycle::{Late, Resolution, Unresolvable};
use crate::{AttemptEvent, Charged, ErrorClass, Failure, JobState, Lifecycle, OnUnknown};

#[derive(Clone, Copy, Debug)]
enum Start {
    Submitting,
    Unknown,
    Submitted,
}

/// What a row says of an attempt and its job. `counted` is whether the attempt uses up one of the job's attempts.
type Row = (Start, AttemptEvent, &'static str, &'static str, bool);

const UNKNOWN_MODEL: Failure = Failure { class: ErrorClass::UnknownModel, charged: Charged::No };

fn rows_of_submitting() -> Vec<Row> {
    use AttemptEvent::{Bound, LeaseExpired, NoAnswer, NotSent, PushedBack, Refused};
    use Start::Submitting;
    vec![
        (Submitting, NotSent, "failed", "queued", false),
        (Submitting, Refused(LASTING), "failed", "failed", true),
        (Submitting, Refused(UNKNOWN_MODEL), "failed", "failed", true),
        (Submitting, PushedBack { class: ErrorClass::RateLimited }, "failed", "queued", false),
        (Submitting, PushedBack { class: ErrorClass::Credential }, "failed", "queued", false),
        (Submitting, Bound(request(1)), "submitted", "running", true),
        (Submitting, NoAnswer, "unknown", "running", true),
        (Submitting, LeaseExpired, "unknown", "running", true),
    ]
}

fn rows_of_unknown() -> Vec<Row> {
    use AttemptEvent::{Bound, GivenUp, ResultError, ResultGone, ResultOk};
    use Start::Unknown;
    vec![
        (Unknown, Bound(request(1)), "submitted", "running", true),
        (Unknown, ResultOk(request(1)), "succeeded", "succeeded", true),
        (Unknown, ResultError(request(1), PASSING), "failed", "queued", true),
        (Unknown, ResultGone(request(1)), "expired", "failed", true),
        (Unknown, GivenUp, "abandoned", "queued", true),
    ]
}

fn rows_of_submitted() -> Vec<Row> {
    use AttemptEvent::{GivenUp, LeaseExpired, ResultError, ResultGone, ResultOk};
    use Start::Submitted;
    vec![
        (Submitted, ResultOk(request(1)), "succeeded", "succeeded", true),
        (Submitted, ResultError(request(1), PASSING), "failed", "queued", true),
        (Submitted, ResultError(request(1), LASTING), "failed", "failed", true),
        (Submitted, ResultGone(request(1)), "expired", "failed", true),
        // Past its run deadline fal is asked to cancel, and looked at further: the state stays.
        (Submitted, GivenUp, "submitted", "running", true),
        (Submitted, LeaseExpired, "submitted", "running", true),
    ]
}

fn rows_of_any_open() -> Vec<Row> {
    let confirmed = || AttemptEvent::CancelConfirmed(request(1), Charged::Perhaps);
    [Start::Submitting, Start::Unknown, Start::Submitted]
        .map(|from| (from, confirmed(), "canceled", "canceled", true))
        .to_vec()
}

fn one_attempt(from: Start, on_unknown: OnUnknown) -> Lifecycle {
    let mut lifecycle = a_queued_job(5, on_unknown);
    assert!(lifecycle.claim());
    match from {
        Start::Submitting => {}
        Start::Unknown => drop(lifecycle.happens(1, &AttemptEvent::NoAnswer)),
        Start::Submitted => drop(lifecycle.bound(1)),
    }
    lifecycle
}

#[test]
fn every_row_of_an_open_attempt_holds() {
    let rows = [rows_of_submitting(), rows_of_unknown(), rows_of_submitted(), rows_of_any_open()].concat();
    for (from, event, attempt, job, counted) in rows {
        let mut lifecycle = one_attempt(from, OnUnknown::Patient);
        lifecycle.happens(1, &event);

        let row = format!("{from:?}, {event:?}");
        assert_eq!(lifecycle.states(), [attempt], "{row}");
        assert_eq!(lifecycle.job.state.as_str(), job, "{row}");
        assert_eq!(lifecycle.attempts[0].counted, counted, "{row}");
        assert_eq!(lifecycle.job.attempts_made, u16::from(counted), "{row}");
    }
}

#[test]
fn a_failure_says_its_class_and_whether_it_cost() {
    let mut job = one_attempt(Start::Submitted, OnUnknown::Patient);
    let failure = Failure { class: ErrorClass::ContentPolicy, charged: Charged::Perhaps };
    job.happens(1, &AttemptEvent::ResultError(request(1), failure));
    assert_eq!(job.job.state, JobState::Failed(failure));

    let mut job = one_attempt(Start::Submitted, OnUnknown::Patient);
    job.happens(1, &AttemptEvent::ResultGone(request(1)));
    let expired = Failure { class: ErrorClass::ResultExpired, charged: Charged::Yes };
    assert_eq!(job.job.state, JobState::Failed(expired));
}

#[test]
fn a_retryable_failure_without_attempts_left_ends_the_job() {
    let mut lifecycle = a_queued_job(1, OnUnknown::Patient);
    assert!(lifecycle.claim());
    lifecycle.bound(1);
    lifecycle.happens(1, &AttemptEvent::ResultError(request(1), PASSING));
    assert_eq!(lifecycle.job.state, JobState::Failed(PASSING));
}

#[test]
fn giving_up_follows_the_policy() {
    let expected = [
        (OnUnknown::Patient, "abandoned", "queued"),
        (OnUnknown::Impatient, "abandoned", "queued"),
        (OnUnknown::Operator, "unknown", "running"),
    ];
    for (policy, attempt, job) in expected {
        let mut lifecycle = one_attempt(Start::Unknown, policy);
        lifecycle.happens(1, &AttemptEvent::GivenUp);
        assert_eq!((lifecycle.states(), lifecycle.job.state.as_str()), (vec![attempt], job), "{policy:?}");
    }
}

#[test]
fn one_further_attempt_is_opened_for_the_impatient_alone() {
    for (policy, job) in
        [(OnUnknown::Patient, "running"), (OnUnknown::Impatient, "queued"), (OnUnknown::Operator, "running")]
    {
        let mut lifecycle = one_attempt(Start::Unknown, policy);
        lifecycle.supersede_unknown(id(1), &super::world::AROUND);
        assert_eq!(lifecycle.job.state.as_str(), job, "{policy:?}");
        assert_eq!(lifecycle.attempts[0].superseded, policy == OnUnknown::Impatient);
    }
}

#[test]
fn a_late_ok_is_adopted_while_the_job_is_open_and_only_noted_afterwards() {
    let ends = [
        AttemptEvent::ResultError(request(1), PASSING),
        AttemptEvent::PushedBack { class: ErrorClass::RateLimited },
        AttemptEvent::NotSent,
    ];
    for end in ends {
        let mut open = one_attempt(Start::Submitting, OnUnknown::Patient);
        open.happens(1, &end);
        let mut closed = open.clone();
        closed.record_job(&crate::JobEvent::CancelRequested);

        assert_eq!(open.ok(1).late, Some(Late::Adopted), "{end:?}");
        assert_eq!((open.states(), open.job.state), (vec!["succeeded"], JobState::Succeeded), "{end:?}");
        assert_eq!(closed.ok(1).late, Some(Late::SupersededOk), "{end:?}");
        assert_eq!((closed.states(), closed.job.state), (vec!["failed"], JobState::Canceled), "{end:?}");
    }
}

#[test]
fn a_person_gives_up_any_unknown_attempt_and_sends_again_what_waits_for_a_person() {
    use OnUnknown::{Impatient, Operator, Patient};
    for policy in [Patient, Impatient, Operator] {
        let mut lifecycle = one_attempt(Start::Unknown, policy);
        lifecycle.resolve(Resolution::GiveUp, &super::world::AROUND).unwrap();
        let abandoned = Failure { class: ErrorClass::Abandoned, charged: Charged::Perhaps };
        assert_eq!((lifecycle.states(), lifecycle.job.state), (vec!["abandoned"], JobState::Failed(abandoned)));

        let mut lifecycle = one_attempt(Start::Unknown, policy);
        let said = lifecycle.resolve(Resolution::Resubmit, &super::world::AROUND);
        if policy == Operator {
            assert_eq!((lifecycle.states(), lifecycle.job.state.as_str()), (vec!["abandoned"], "queued"));
            assert_eq!(lifecycle.job.attempts_made, 1, "fal may have run it, so it counts");
        } else {
            assert_eq!(said, Err(Unresolvable::PolicyDecides(policy)));
            assert_eq!((lifecycle.states(), lifecycle.job.state.as_str()), (vec!["unknown"], "running"));
        }
    }
}

#[test]
fn a_person_decides_nothing_where_nothing_waits() {
    let resolve = |lifecycle: &Lifecycle, how| {
        let mut after = lifecycle.clone();
        let refused = after.resolve(how, &super::world::AROUND).unwrap_err();
        assert_eq!(&after, lifecycle, "{how:?}");
        refused
    };
    for from in [Start::Submitting, Start::Submitted] {
        let lifecycle = one_attempt(from, OnUnknown::Operator);
        assert_eq!(resolve(&lifecycle, Resolution::GiveUp), Unresolvable::NothingUnknown, "{from:?}");
    }
    let mut ended = one_attempt(Start::Unknown, OnUnknown::Operator);
    ended.ok(1);
    assert_eq!(resolve(&ended, Resolution::GiveUp), Unresolvable::JobEnded);

    let mut last = a_queued_job(1, OnUnknown::Operator);
    assert!(last.claim());
    last.happens(1, &AttemptEvent::NoAnswer);
    assert_eq!(resolve(&last, Resolution::Resubmit), Unresolvable::AttemptsUsedUp);

    let mut unwanted = one_attempt(Start::Unknown, OnUnknown::Operator);
    unwanted.record_job(&crate::JobEvent::CancelRequested);
    assert_eq!(resolve(&unwanted, Resolution::Resubmit), Unresolvable::CancelArmed);
    unwanted.resolve(Resolution::GiveUp, &super::world::AROUND).unwrap();
    assert_eq!(unwanted.job.state, JobState::Canceled);
}

#[test]
fn what_a_person_gave_up_still_brings_its_result() {
    let mut again = one_attempt(Start::Unknown, OnUnknown::Operator);
    let mut failed = again.clone();
    again.resolve(Resolution::Resubmit, &super::world::AROUND).unwrap();
    assert!(again.claim());
    failed.resolve(Resolution::GiveUp, &super::world::AROUND).unwrap();

    let recorded = again.ok(1);
    assert_eq!((recorded.late, recorded.cancel_at_fal), (Some(Late::Adopted), vec![id(2)]));
    assert_eq!(again.job.state, JobState::Succeeded);
    assert_eq!(failed.ok(1).late, Some(Late::SupersededOk));
    assert_eq!(failed.job.state.as_str(), "failed");
}
