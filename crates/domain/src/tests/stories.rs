//! Histories worth telling by name.

use super::world::{AROUND, LASTING, PASSING, a_queued_job, id, request};
use crate::lifecycle::{Late, Recorded};
use crate::{AttemptEvent, Charged, JobEvent, JobState, Lifecycle, OnUnknown};

fn claimed(attempts_max: u16, on_unknown: OnUnknown) -> Lifecycle {
    let mut lifecycle = a_queued_job(attempts_max, on_unknown);
    assert!(lifecycle.claim());
    lifecycle
}

/// An impatient job whose first attempt is unknown and whose second was claimed in its place.
fn two_under_way() -> Lifecycle {
    let mut lifecycle = claimed(3, OnUnknown::Impatient);
    lifecycle.happens(1, &AttemptEvent::NoAnswer);
    lifecycle.supersede_unknown(id(1), &AROUND);
    assert!(lifecycle.claim());
    lifecycle
}

#[test]
fn a_callback_that_overtakes_the_answer_finishes_the_job() {
    let mut lifecycle = claimed(1, OnUnknown::Patient);

    lifecycle.ok(1);
    let answer = lifecycle.bound(1);

    assert_eq!(lifecycle.job.state, JobState::Succeeded);
    assert_eq!(answer, Recorded::default(), "the answer tells nothing new");
}

#[test]
fn a_good_result_is_never_lost_to_the_order_of_messages() {
    let messages = [
        AttemptEvent::NoAnswer,
        AttemptEvent::Bound(request(1)),
        AttemptEvent::ResultError(request(1), PASSING),
        AttemptEvent::ResultOk(request(1)),
    ];
    for order in orders(&messages) {
        let mut lifecycle = claimed(2, OnUnknown::Patient);
        for message in &order {
            lifecycle.happens(1, message);
        }
        assert_eq!(lifecycle.job.state, JobState::Succeeded, "{order:?}");
    }
}

#[test]
fn a_late_result_is_adopted_and_the_newer_attempt_stopped() {
    let mut lifecycle = claimed(2, OnUnknown::Patient);
    lifecycle.happens(1, &AttemptEvent::LeaseExpired);
    lifecycle.happens(1, &AttemptEvent::GivenUp);
    assert!(lifecycle.claim());

    let recorded = lifecycle.ok(1);

    assert_eq!(recorded.late, Some(Late::Adopted));
    assert_eq!(recorded.cancel_at_fal, [id(2)]);
    assert_eq!(lifecycle.states(), ["succeeded", "submitting"]);
    assert!(lifecycle.attempts[1].superseded);
}

#[test]
fn a_late_result_of_an_ended_job_is_noted_and_moves_nothing() {
    let mut lifecycle = claimed(1, OnUnknown::Patient);
    lifecycle.happens(1, &AttemptEvent::NoAnswer);
    lifecycle.happens(1, &AttemptEvent::GivenUp);
    let job = lifecycle.job.clone();

    let first = lifecycle.ok(1);
    let after_first = lifecycle.clone();
    let again = lifecycle.ok(1);

    assert_eq!(lifecycle.job, job);
    assert_eq!(lifecycle.states(), ["abandoned"]);
    assert_eq!(lifecycle.attempts[0].request_id, Some(request(1)), "fal bills by this name");
    assert_eq!((first.late, first.attempt_changed), (Some(Late::SupersededOk), true));
    assert_eq!((again.late, again.attempt_changed), (Some(Late::SupersededOk), false));
    assert_eq!(lifecycle, after_first);
}

#[test]
fn when_both_attempts_succeed_the_second_result_changes_no_job() {
    let mut lifecycle = two_under_way();
    lifecycle.ok(2);
    let job = lifecycle.job.clone();

    let recorded = lifecycle.ok(1);

    assert_eq!(lifecycle.job, job);
    assert_eq!(recorded.late, Some(Late::SupersededOk));
    assert_eq!(lifecycle.states(), ["succeeded", "succeeded"], "both were paid for");
}

#[test]
fn the_failure_of_a_superseded_attempt_leaves_the_newer_one_alone() {
    let mut lifecycle = two_under_way();

    let recorded = lifecycle.happens(1, &AttemptEvent::ResultError(request(1), LASTING));

    assert!(recorded.attempt_changed && !recorded.job_changed);
    assert_eq!(lifecycle.job.state, JobState::Running);
}

#[test]
fn a_cancel_of_an_unknown_attempt_fires_when_fal_names_it() {
    let mut lifecycle = claimed(3, OnUnknown::Patient);
    lifecycle.happens(1, &AttemptEvent::NoAnswer);
    lifecycle.record_job(&JobEvent::CancelRequested);
    assert_eq!(lifecycle.job.state, JobState::Running, "only fal can confirm it");

    assert_eq!(lifecycle.bound(1).cancel_at_fal, [id(1)]);
    lifecycle.happens(1, &AttemptEvent::CancelConfirmed(request(1), Charged::No));

    assert_eq!(lifecycle.job.state, JobState::Canceled);
}

#[test]
fn an_attempt_that_fal_names_after_its_job_ended_is_stopped() {
    let mut lifecycle = two_under_way();
    lifecycle.ok(2);

    assert_eq!(lifecycle.bound(1).cancel_at_fal, [id(1)]);
}

#[test]
fn a_result_that_comes_before_the_cancel_is_confirmed_wins() {
    let mut lifecycle = claimed(3, OnUnknown::Patient);
    lifecycle.bound(1);
    lifecycle.record_job(&JobEvent::CancelRequested);

    lifecycle.ok(1);
    let confirmed = lifecycle.happens(1, &AttemptEvent::CancelConfirmed(request(1), Charged::No));

    assert_eq!(lifecycle.job.state, JobState::Succeeded);
    assert!(confirmed.conflict);
}

#[test]
fn another_request_than_the_one_first_named_is_a_conflict_even_after_the_end() {
    let mut lifecycle = claimed(2, OnUnknown::Patient);
    lifecycle.happens(1, &AttemptEvent::NoAnswer);
    lifecycle.happens(1, &AttemptEvent::GivenUp);
    lifecycle.bound(1);

    assert!(lifecycle.happens(1, &AttemptEvent::ResultOk(request(2))).conflict);
    assert_eq!(lifecycle.ok(1).late, Some(Late::Adopted));
}

#[test]
fn fal_pushing_back_uses_up_no_attempt() {
    let mut lifecycle = claimed(1, OnUnknown::Patient);
    for number in 1..=3 {
        lifecycle.happens(number, &AttemptEvent::PushedBack { class: crate::ErrorClass::RateLimited });
        assert_eq!(lifecycle.job.attempts_made, 0);
        assert!(lifecycle.claim());
    }
}

#[test]
fn an_ended_job_keeps_even_its_count() {
    let mut lifecycle = two_under_way();
    lifecycle.ok(1);
    let job = lifecycle.job.clone();

    lifecycle.happens(2, &AttemptEvent::NotSent);

    assert_eq!(lifecycle.states(), ["succeeded", "failed"]);
    assert_eq!(lifecycle.job, job);
    assert!(lifecycle.attempts[1].counted);
}

/// Every order of four messages.
fn orders(messages: &[AttemptEvent; 4]) -> Vec<Vec<AttemptEvent>> {
    let mut orders = vec![Vec::new()];
    for message in messages {
        orders = orders.iter().flat_map(|order| inserted_everywhere(order, message)).collect();
    }
    orders
}

fn inserted_everywhere(order: &[AttemptEvent], message: &AttemptEvent) -> Vec<Vec<AttemptEvent>> {
    let at = |index: usize| [&order[..index], std::slice::from_ref(message), &order[index..]].concat();
    (0..=order.len()).map(at).collect()
}
