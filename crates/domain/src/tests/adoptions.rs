//! Jobs that somebody else sends, by the same table as all others.

use super::world::{AROUND, PASSING, a_job, id, request};
use crate::lifecycle::Resolution;
use crate::table::{adoptions, attempt_events, some_request};
use crate::{Adoption, Attempt, AttemptEvent, Charged, ErrorClass, Failure, JobEvent, JobState, Lifecycle, OnUnknown};

/// A job as it is when it is adopted.
fn begun(adoption: &Adoption) -> Lifecycle {
    let mut lifecycle = a_job(adoption.job(), Adoption::ATTEMPTS, OnUnknown::Patient);
    lifecycle.job.attempts_made = Adoption::ATTEMPTS;
    lifecycle.attempts.push(Attempt {
        id: id(1),
        number: 1,
        state: adoption.attempt(),
        counted: true,
        superseded: false,
        request_id: adoption.request_id().cloned(),
        version: 1,
    });
    lifecycle
}

/// Everything that can come next: evidence, decisions, a wish for the end, an impatience, a person.
fn successors(lifecycle: &Lifecycle) -> Vec<Lifecycle> {
    let mut next: Vec<Lifecycle> = Vec::new();
    let mut after = |step: &dyn Fn(&mut Lifecycle)| {
        let mut changed = lifecycle.clone();
        step(&mut changed);
        next.push(changed);
    };
    for event in attempt_events() {
        after(&|life| drop(life.happens(1, &event)));
    }
    after(&|life| drop(life.record_job(&JobEvent::CancelRequested)));
    after(&|life| drop(life.record_job(&JobEvent::UsefulUntilPassed)));
    after(&|life| drop(life.supersede_unknown(id(1), &AROUND)));
    for how in Resolution::ALL {
        after(&|life| drop(life.resolve(how, &AROUND)));
    }
    next
}

#[test]
fn nothing_that_happens_to_an_adopted_job_leads_to_its_being_sent() {
    for adoption in adoptions() {
        let mut reached = vec![begun(&adoption)];
        for _ in 0..4 {
            let mut fresh: Vec<Lifecycle> = Vec::new();
            for next in reached.iter().flat_map(successors) {
                let sendable = matches!(next.job.state, JobState::Queued { .. } | JobState::Scheduled { .. });
                assert!(!sendable, "{adoption:?}: {next:?}");
                assert_eq!(next.attempts.len(), 1, "{adoption:?}");
                if !fresh.contains(&next) && !reached.contains(&next) {
                    fresh.push(next);
                }
            }
            reached.extend(fresh);
        }
        assert!(reached.len() > 5, "the walk went nowhere");
    }
}

#[test]
fn a_callback_url_that_nobody_used_ends_as_abandoned() {
    let mut lifecycle = begun(&Adoption::Minted);
    lifecycle.happens(1, &AttemptEvent::GivenUp);
    let abandoned = Failure { class: ErrorClass::Abandoned, charged: Charged::Perhaps };
    assert_eq!((lifecycle.states(), lifecycle.job.state), (vec!["abandoned"], JobState::Failed(abandoned)));
}

#[test]
fn evidence_moves_adopted_jobs_as_it_moves_all_others() {
    for adoption in adoptions() {
        let said = some_request();
        let rows = [
            (AttemptEvent::Bound(said.clone()), "submitted", "running"),
            (AttemptEvent::ResultOk(said.clone()), "succeeded", "succeeded"),
            (AttemptEvent::ResultError(said.clone(), PASSING), "failed", "failed"),
            (AttemptEvent::ResultGone(said.clone()), "expired", "failed"),
            (AttemptEvent::CancelConfirmed(said, Charged::No), "canceled", "canceled"),
        ];
        for (event, attempt, job) in rows {
            let mut lifecycle = begun(&adoption);
            lifecycle.happens(1, &event);
            assert_eq!(
                (lifecycle.states(), lifecycle.job.state.as_str()),
                (vec![attempt], job),
                "{adoption:?} {event:?}"
            );
        }
    }
    let mut adopted = begun(&Adoption::Adopted { request_id: some_request() });
    assert!(
        adopted.happens(1, &AttemptEvent::ResultOk(request(2))).conflict,
        "another request's result is not its own"
    );
}
