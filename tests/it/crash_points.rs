//! Every crash point, at its first, second and seventh hit: a real process aborts there, is started again, and all that
//! was acknowledged comes home.
//!
//! `work` does what reaches a point, for `clients` who insist; `sweep` lets a server die there and checks what is left;
//! `home` waits for the end of all work, and moves the clock where only time helps. Points that a process passes once in
//! its life have their second and seventh hit in its second and seventh life: those of `shutdowns` and `migrations`.
//! `pauses` stops a process in place of ending it.

mod clients;
mod home;
mod migrations;
mod pauses;
mod shutdowns;
mod sweep;
mod work;

use failpoints::Point;
use sweep::{Sweep, die_at_each};
use work::Kind;

/// Every point of this sweep is passed as often as there are items in its work.
const SWEEPS: [Sweep; 11] = [
    Sweep { work: Kind::InTurn, points: &[Point::AcceptBeforeCommit, Point::AcceptAfterCommit] },
    Sweep { work: Kind::InTurn, points: &[Point::ClaimBeforeCommit, Point::ClaimAfterCommit] },
    Sweep {
        work: Kind::InTurn,
        points: &[Point::SubmitBeforePost, Point::SubmitAfterAnswer, Point::SubmitAfterRecord],
    },
    Sweep { work: Kind::AtOnce, points: &[Point::CallbackBeforeSettle, Point::CallbackBeforeAnswer] },
    Sweep {
        work: Kind::InTurn,
        points: &[Point::SettleBeforeWrite, Point::SettleBeforeCommit, Point::SettleAfterCommit],
    },
    Sweep { work: Kind::FailingOnce, points: &[Point::RetryBeforeCommit, Point::RetryAfterCommit] },
    Sweep { work: Kind::InTurn, points: &[Point::LedgerBeforeCommit, Point::LedgerAfterCommit] },
    Sweep { work: Kind::WithoutCallbacks, points: &[Point::ReconcileBeforeLook, Point::ReconcileAfterLook] },
    Sweep { work: Kind::Canceled, points: &[Point::CancelBeforeCall, Point::CancelAfterCall] },
    Sweep { work: Kind::Unanswered, points: &[Point::RescueBeforeSettle] },
    Sweep { work: Kind::Audited, points: &[Point::AuditBeforeWrite, Point::AuditBeforeMark] },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_around_an_accept_loses_no_job_and_makes_none_twice() {
    die_at_each(&SWEEPS[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_around_a_claim_sends_nothing_twice() {
    die_at_each(&SWEEPS[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_around_a_post_is_found_or_waited_for() {
    die_at_each(&SWEEPS[2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_around_a_callback_has_fal_send_it_again() {
    die_at_each(&SWEEPS[3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_settling_settles_all_or_nothing() {
    die_at_each(&SWEEPS[4]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_around_another_try_gives_one_try() {
    die_at_each(&SWEEPS[5]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_around_a_ledger_line_charges_once() {
    die_at_each(&SWEEPS[6]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_around_a_look_leaves_the_next_look_to_another() {
    die_at_each(&SWEEPS[7]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_around_a_cancel_keeps_the_wish() {
    die_at_each(&SWEEPS[8]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_rescuing_leaves_the_rescue_to_another() {
    die_at_each(&SWEEPS[9]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_around_an_audit_tells_of_a_charge_once() {
    die_at_each(&SWEEPS[10]).await;
}

/// A point that is added and swept nowhere would prove nothing.
#[test]
fn every_point_is_swept_once() {
    let mut swept: Vec<Point> = SWEEPS.iter().flat_map(|sweep| sweep.points).copied().collect();
    swept.extend(shutdowns::POINTS.iter().chain(migrations::POINTS));
    swept.sort_unstable();
    assert_eq!(swept, Point::ALL);
}
