//! Two processes, one of which may be paused for as long as it likes.

use crate::table::{breaks, fails_only, holds};
use models::{
    leases::{Leases, named},
    setup::Broken,
};

#[test]
fn a_paused_holder_neither_sends_nor_overwrites() {
    holds("two processes", &Leases::shipped());
    holds("two processes, fal calls twice, no crash", &Leases { tries: 2, crashes: 0, ..Leases::shipped() });
}

/// No process can look at the clock and send in one step. What was sent late is found all the same, since nobody sends
/// an attempt again.
#[test]
fn a_pause_right_before_the_first_byte_sends_late_and_pays_once() {
    let paused = Leases { pause_before_send: true, crashes: 0, ..Leases::shipped() };
    fails_only("two processes, paused right before sending", &paused, &[named::SENT_IN_LEASE]);
}

#[test]
fn every_mistake_with_a_lease_is_found() {
    breaks("no fence", &Leases::shipped().but(Broken::NoFence), named::HOLDER_WRITES);
    breaks("no fence: regress", &Leases::shipped().but(Broken::NoFence), named::NO_REGRESS);
    breaks("rescuer sends again", &Leases::shipped().but(Broken::RescueSends), named::ONE_POST);
    breaks("rescuer queues again", &Leases::shipped().but(Broken::RescueRequeues), named::PAID_ONCE);
    breaks("sends without a deadline", &Leases::shipped().but(Broken::SendsWithoutDeadline), named::SENT_IN_LEASE);
    breaks("no row lock", &Leases::shipped().but(Broken::NoRowLock), named::NO_REGRESS);
    breaks("claims without a second look", &Leases::shipped().but(Broken::ClaimWithoutRecheck), named::ONE_LIVE);
}
