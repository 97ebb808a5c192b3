//! What becomes of one job when answers, callbacks and processes are lost.

use crate::table::{breaks, fails_only, holds};
use domain::OnUnknown::{Impatient, Operator, Patient};
use models::{
    protocol::named,
    setup::{Broken, History, Limits, Setup},
};

const ONE_CRASH: Limits = limits(1);
const TWO_CRASHES: Limits = limits(2);

const fn limits(crashes: u8) -> Limits {
    Limits {
        crashes,
        cancels: 0,
        words: 0,
        errors: 0,
        not_sent: 0,
        pauses: 0,
        losses: 0,
        stale: 0,
        doubts: 0,
        forgotten: 0,
    }
}

#[test]
fn a_patient_job_is_paid_for_once_and_its_result_kept() {
    let patient = || Setup::shipped(Patient);
    holds("patient", &patient().with(TWO_CRASHES));
    holds("patient, pushed back, paused", &patient().with(Limits { not_sent: 1, pauses: 1, ..ONE_CRASH }));
    holds("patient, stale stamps, commits in doubt", &patient().with(Limits { stale: 1, doubts: 1, ..ONE_CRASH }));
    holds("patient, results forgotten", &patient().with(Limits { forgotten: 1, ..ONE_CRASH }));
    holds("patient, history at once", &Setup { history: History::Complete, ..patient().with(TWO_CRASHES) });
    holds("patient, history often silent", &Setup { history: History::Silent, ..patient().with(TWO_CRASHES) });
    holds("patient, equal inputs", &Setup { seeded: false, ..patient().with(TWO_CRASHES) });
    holds("patient, user id not known", &Setup { pinned: false, ..patient().with(TWO_CRASHES) });
    holds("patient, no audit", &Setup { audit: false, ..patient().with(TWO_CRASHES) });
}

/// Without history an attempt whose request id was lost is found by its callback alone.
#[test]
fn without_history_only_the_loss_of_every_callback_costs() {
    let refused = || Setup { history: History::Refused, ..Setup::shipped(Patient) };
    let no_call_lost = Setup { limits: TWO_CRASHES, ..refused() };
    holds("patient, no history, no callback lost", &no_call_lost);
    holds(
        "patient, no history, one of two callbacks lost",
        &Setup { limits: Limits { losses: 1, ..TWO_CRASHES }, ..refused() },
    );
    let lost = [named::NOT_LOST, named::NOTED, named::PAID_ONCE];
    fails_only("patient, no history, every callback lost", &refused().with(TWO_CRASHES), &lost);
}

/// A job that has ended stays as it is, so that a result of its first attempt which comes after its second one was given
/// up is noted, and can be fetched again, but is not the job's.
#[test]
fn an_impatient_job_is_paid_for_once_more_at_most() {
    let impatient = || Setup { tries: 1, ..Setup::shipped(Impatient) };
    fails_only("impatient", &impatient().with(ONE_CRASH), &[named::NOT_LOST]);
    let equal = Setup { seeded: false, ..impatient().with(ONE_CRASH) };
    fails_only("impatient, equal inputs", &equal, &[named::NOT_LOST, named::NOTED]);
    let refused = Setup { history: History::Refused, ..impatient().with(ONE_CRASH) };
    fails_only("impatient, no history, every callback lost", &refused, &[named::NOT_LOST, named::NOTED]);
}

#[test]
fn an_operators_job_waits_rather_than_pay_twice() {
    let operator = || Setup::shipped(Operator);
    holds("operator", &operator().with(TWO_CRASHES));
    let refused = Setup { history: History::Refused, audit: false, ..operator().with(TWO_CRASHES) };
    fails_only(
        "operator, no history, every callback lost, no audit",
        &refused,
        &[named::NOT_LOST, named::NOTED, named::IN_LEDGER],
    );
}

#[test]
fn every_mistake_in_the_attempt_protocol_is_found() {
    let patient = || Setup::shipped(Patient).with(ONE_CRASH);
    let no_history = Setup { history: History::Refused, limits: ONE_CRASH, ..patient() };
    holds("the same without the mistake", &no_history);
    let token_less = || no_history.clone().but(Broken::BindsByRequestIdAlone);
    breaks("binds by request id alone: lost", &token_less(), named::NOT_LOST);
    breaks("binds by request id alone: paid", &token_less(), named::PAID_ONCE);
    breaks("sends again blindly", &patient().but(Broken::RetriesBlindly), named::ONE_POST);
    breaks("sends again blindly: paid", &patient().but(Broken::RetriesBlindly), named::PAID_ONCE);
    breaks("no state guard: event", &patient().but(Broken::NoStateGuard), named::ONE_EVENT);
    breaks("no state guard: regress", &patient().but(Broken::NoStateGuard), named::NO_REGRESS);
    breaks("no fence", &patient().but(Broken::NoFence), named::HOLDER_WRITES);
    breaks("rescuer sends again", &patient().but(Broken::RescueSends), named::ONE_POST);
    breaks("rescuer queues again", &patient().but(Broken::RescueRequeues), named::PAID_ONCE);
    breaks("gives up what may run", &patient().but(Broken::GivesUpEarly), named::PAID_ONCE);
    let silent = Setup { history: History::Silent, ..patient() };
    breaks("takes silence for absence", &silent.but(Broken::SilenceIsAbsence), named::PAID_ONCE);
    let impatient = Setup { audit: false, tries: 1, ..Setup::shipped(Impatient) }.with(ONE_CRASH);
    breaks("drops a late result", &impatient.clone().but(Broken::LateResultIsDropped), named::IN_LEDGER);
    breaks(
        "impatient where patience was promised",
        &Setup { on_unknown: Patient, ..patient() }.but(Broken::GivesUpEarly),
        named::NOT_LOST,
    );
    breaks("a late result reopens the job", &impatient.but(Broken::LateResultReopens), named::NO_REGRESS);
}
