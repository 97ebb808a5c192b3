//! The comparison itself: what must be found when one of the witnesses says something else.

use super::{
    account::{Account, Resolved, percentile},
    checks::{self, Check},
    evidence::Evidence,
    faults, work,
};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{AttemptId, CredentialId, JobId, TokenKeys};
use simulator::{OutcomeKind, RequestState, RequestView, TryView};
use std::time::Duration;
use store::report::{AttemptLine, CallbackLine, JobLine, ToldBy};
use uuid::Uuid;

const SHA256: [u8; 32] = [7; 32];

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

/// Two jobs that fal ran and charged: the first came home by its callback, the second, unknown for a while, by a look.
fn agreement() -> Evidence {
    let tokens = TokenKeys::derive("0123456789abcdef0123456789abcdef").unwrap();
    let ids =
        [1u128, 2].map(|n| (JobId(Uuid::from_u128(n)), AttemptId(Uuid::from_u128(n + 100)), format!("request-{n}")));
    let [first, second] = &ids;
    let job = |(id, _, request): &(JobId, AttemptId, String), told_by| JobLine {
        id: *id,
        model: "fal-ai/flux/dev".to_owned(),
        state: "succeeded".to_owned(),
        error_class: None,
        finished_at: Some(at(12)),
        told_by,
        request_id: Some(request.clone()),
        result_sha256: Some(SHA256.to_vec()),
        ends: 1,
    };
    let attempt = |(job, id, request): &(JobId, AttemptId, String), doubt: Option<i64>| AttemptLine {
        id: *id,
        job: *job,
        number: 1,
        state: "succeeded".to_owned(),
        request_id: Some(request.clone()),
        finished_at: Some(at(12)),
        unknown_at: doubt.map(at),
        known_at: doubt.map(|since| at(since + 3)),
        bound_by: Some(if doubt.is_some() { "history" } else { "submit" }.to_owned()),
        kept_callback: false,
        charges: 1,
    };
    let truth = ids.iter().map(|(_, attempt, request)| run(request, &tokens.sign(CredentialId::DEFAULT, *attempt)));
    Evidence {
        acknowledged: vec![first.0, second.0],
        truth: truth.collect(),
        jobs: vec![job(first, ToldBy::Callback), job(second, ToldBy::Look)],
        attempts: vec![attempt(first, None), attempt(second, Some(5))],
        callbacks: vec![callback(&first.2, "applied"), callback(&second.2, "duplicate")],
        tokens,
    }
}

fn callback(request_id: &str, disposition: &str) -> CallbackLine {
    CallbackLine { request_id: Some(request_id.to_owned()), disposition: disposition.to_owned(), calls: 1 }
}

fn run(request_id: &str, token: &str) -> RequestView {
    let delivered = TryView { n: 1, tried_at: at(11), status: Some(200), fault: None, error: None };
    RequestView {
        request_id: request_id.to_owned(),
        gateway_request_id: request_id.to_owned(),
        ordinal: 0,
        account: 0,
        key_id: "key".to_owned(),
        endpoint: "fal-ai/flux/dev".to_owned(),
        webhook_url: Some(format!("http://127.0.0.1:4801/hooks/fal/{token}")),
        state: RequestState::Completed,
        outcome: Some(OutcomeKind::Ok),
        status_code: Some(200),
        error_type: None,
        posted_at: at(1),
        started_at: Some(at(1)),
        completed_at: Some(at(10)),
        slot: Some(0),
        input: bytes::Bytes::from_static(b"{}"),
        webhook_tries: vec![delivered],
        canceled: false,
        billable_units: Some(1.into()),
        cost: Some(1.into()),
        result_sha256: Some("another".to_owned()),
        payload_sha256: Some(hex::encode(SHA256)),
        faults: Vec::new(),
        looks: 0,
    }
}

/// The rules that do not hold, each with what was said of the first thing of which it does not.
fn broken(evidence: &Evidence) -> Vec<(&'static str, String)> {
    let checks = checks::all(evidence);
    checks
        .into_iter()
        .filter(|check| !check.holds())
        .map(|Check { rule, mut broken, .. }| (rule, broken.remove(0)))
        .collect()
}

#[track_caller]
fn is_named(evidence: &Evidence, rule: &str, name: &str) {
    let broken = broken(evidence);
    let found = broken.iter().find(|(broken, _)| broken.contains(rule));
    assert!(found.is_some_and(|(_, said)| said.contains(name)), "{broken:?}");
}

#[test]
fn witnesses_that_agree_break_no_rule() {
    assert_eq!(broken(&agreement()), Vec::new());
}

#[test]
fn a_lost_job_and_one_that_never_ended_are_named() {
    let mut gone = agreement();
    let lost = gone.jobs.remove(0);
    is_named(&gone, "acknowledged job", &lost.id.to_string());
    assert_eq!(Account::of(&gone).lost, 1);

    let mut open = agreement();
    open.jobs[1].finished_at = None;
    open.jobs[1].state = "running".to_owned();
    is_named(&open, "acknowledged job", "still running");
    assert_eq!(Account::of(&open).lost, 1);
}

#[test]
fn a_result_that_fal_did_not_make_is_named() {
    let mut evidence = agreement();
    evidence.jobs[1].result_sha256 = Some(vec![8; 32]);
    is_named(&evidence, "byte for byte", &evidence.jobs[1].id.to_string());
}

#[test]
fn a_post_that_belongs_to_another_attempt_or_to_none_is_named() {
    let mut swapped = agreement();
    let (first, second) = (swapped.attempts[0].request_id.clone(), swapped.attempts[1].request_id.clone());
    (swapped.attempts[0].request_id, swapped.attempts[1].request_id) = (second, first);
    is_named(&swapped, "every POST", "request-1");

    let mut unbound = agreement();
    unbound.attempts[1].request_id = None;
    is_named(&unbound, "every POST", "request-2");
}

#[test]
fn a_job_that_was_paid_for_twice_is_named() {
    let mut evidence = agreement();
    evidence.attempts[1].job = evidence.jobs[0].id;
    is_named(&evidence, "every paid run", "more than once");
}

#[test]
fn an_end_that_fal_tells_otherwise_is_named() {
    let mut evidence = agreement();
    evidence.truth[0].outcome = Some(OutcomeKind::ModelError);
    is_named(&evidence, "as fal says", &evidence.jobs[0].id.to_string());
}

#[test]
fn a_charge_that_the_ledger_lacks_is_named() {
    let mut evidence = agreement();
    evidence.attempts[0].charges = 0;
    is_named(&evidence, "ledger", "request-1");
}

#[test]
fn a_callback_that_was_answered_and_not_stored_is_named() {
    let mut evidence = agreement();
    evidence.callbacks.remove(1);
    is_named(&evidence, "answered with 200", "request-2");
}

#[test]
fn a_doubt_is_told_with_what_ended_it_and_is_no_lateness() {
    let account = Account::of(&agreement());

    let doubt = &account.doubts[0];
    assert_eq!(
        (account.doubts.len(), doubt.resolved, doubt.lasted),
        (1, Resolved::History, Some(Duration::from_secs(3)))
    );
    assert_eq!((account.by_callback, account.by_look, account.late.len()), (1, 1, 0));
}

#[test]
fn a_missed_callback_is_late_by_the_time_since_fal_was_done() {
    let mut evidence = agreement();
    (evidence.attempts[1].unknown_at, evidence.attempts[1].known_at) = (None, None);
    assert_eq!(Account::of(&evidence).late, vec![Duration::from_secs(2)]);
}

#[test]
fn a_percentile_is_a_value_that_was_measured() {
    let sorted: Vec<Duration> = (1..=200).map(Duration::from_secs).collect();
    assert_eq!(percentile(&sorted, 50), Some(Duration::from_secs(100)));
    assert_eq!(percentile(&sorted, 99), Some(Duration::from_secs(198)));
    assert_eq!(percentile(&sorted[..1], 99), Some(Duration::from_secs(1)));
    assert_eq!(percentile(&[], 99), None);
}

#[test]
fn the_same_seed_makes_the_same_jobs_and_every_scripted_one_can_be_found() {
    let jobs = work::jobs(7, 300);
    let bodies = |seed| work::jobs(seed, 300).into_iter().map(|work| work.body).collect::<Vec<_>>();
    assert_eq!(bodies(7), bodies(7));
    assert_ne!(bodies(7), bodies(8));
    for number in faults::certain_cuts(300) {
        let mark = work::mark(number, 300);
        let found =
            jobs.iter().filter(|work| work.body["input"]["prompt"].as_str().is_some_and(|text| text.contains(&mark)));
        assert_eq!(found.map(|work| work.number).collect::<Vec<_>>(), [number]);
    }
}
