//! The edges as they were ruled, all of them and by hand.

use crate::table::{
    ENTRY, allowed_attempt_pairs, allowed_job_pairs, attempt_edges, attempt_entries, job_edges, job_entries,
};
use std::collections::BTreeSet;

#[test]
fn a_job_has_these_edges_and_no_other() {
    assert_eq!(job_entries(), ["queued", "scheduled", "held", "running"]);
    let ruled = [
        ("scheduled", "due", "queued"),
        ("scheduled", "cancel_requested", "canceled"),
        ("held", "resumed", "queued"),
        ("held", "hold_refused", "failed"),
        ("held", "cancel_requested", "canceled"),
        ("queued", "claimed", "running"),
        ("queued", "cancel_requested", "canceled"),
        ("queued", "useful_until_passed", "canceled"),
        // By the row of the late OK: the job is open during back-off.
        ("queued", "attempt_succeeded", "succeeded"),
        ("running", "attempt_succeeded", "succeeded"),
        ("running", "retry", "queued"),
        ("running", "attempts_ended", "failed"),
        ("running", "cancel_confirmed", "canceled"),
    ];
    // The rulings name this one for queued jobs only; what is of no use is of none while it waits elsewhere either.
    let besides = [("scheduled", "useful_until_passed", "canceled"), ("held", "useful_until_passed", "canceled")];
    let edges: BTreeSet<_> = job_edges().iter().map(|edge| (edge.from, edge.event, edge.to)).collect();
    assert_eq!(edges, ruled.into_iter().chain(besides).collect());
}

#[test]
fn an_attempt_has_these_edges_and_no_other() {
    assert_eq!(attempt_entries(), ["submitting", "unknown", "submitted"]);
    let mut ruled = BTreeSet::from([
        ("submitting", "not_sent", "failed", false),
        ("submitting", "refused", "failed", false),
        ("submitting", "pushed_back", "failed", false),
        ("submitting", "no_answer", "unknown", false),
        ("submitting", "lease_expired", "unknown", false),
        ("submitting", "bound", "submitted", false),
        ("unknown", "bound", "submitted", false),
        ("unknown", "given_up", "abandoned", false),
    ]);
    for open in ["submitting", "unknown", "submitted"] {
        ruled.insert((open, "result_ok", "succeeded", false));
        ruled.insert((open, "result_error", "failed", false));
        ruled.insert((open, "result_gone", "expired", false));
        ruled.insert((open, "cancel_confirmed", "canceled", false));
    }
    for ended in ["failed", "canceled", "abandoned", "expired"] {
        ruled.insert((ended, "result_ok", "succeeded", true));
    }
    let edges: BTreeSet<_> =
        attempt_edges().iter().map(|edge| (edge.from, edge.event, edge.to, edge.needs_open_job)).collect();
    assert_eq!(edges, ruled);
}

#[test]
fn the_pairs_are_the_edges_and_the_entries() {
    let jobs = allowed_job_pairs();
    assert!(jobs.contains(&(ENTRY, "queued")) && jobs.contains(&("running", "queued")));
    // A job that somebody else sends is under way from its first moment on.
    assert!(jobs.contains(&(ENTRY, "running")));
    assert!(!jobs.contains(&(ENTRY, "succeeded")) && !jobs.contains(&("succeeded", "failed")));

    let attempts = allowed_attempt_pairs();
    assert!(attempts.contains(&(ENTRY, "submitting")) && attempts.contains(&("abandoned", "succeeded")));
    assert!(attempts.contains(&(ENTRY, "unknown")) && attempts.contains(&(ENTRY, "submitted")));
    assert!(!attempts.contains(&(ENTRY, "succeeded")) && !attempts.contains(&("unknown", "submitting")));
}
