//! How long each stage of an attempt may take, and the instants that follow from it.

use chrono::{DateTime, Utc};
use std::time::Duration;

/// The timeouts of one attempt, all counted from its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the POST and its answer.
    pub submit: Duration,
    /// For the claim: whoever holds it longer without recording an answer has lost it.
    pub lease: Duration,
    /// For fal to begin. Sent with the request, so it also bounds how long an unknown attempt can come alive.
    pub start: Duration,
    /// For the run itself.
    pub run: Duration,
    /// For an unknown attempt to be found.
    pub abandon_after: Duration,
    /// Until fal's history is asked about an unknown attempt.
    pub history_after: Duration,
}

impl Timeouts {
    /// When an attempt claimed at `claimed_at` can no longer be running at fal, whether we know of it or not.
    pub fn run_deadline(&self, claimed_at: DateTime<Utc>) -> DateTime<Utc> {
        claimed_at + self.start + self.run
    }

    /// When an unknown attempt claimed at `claimed_at` is given up.
    pub fn abandon_at(&self, claimed_at: DateTime<Utc>) -> DateTime<Utc> {
        claimed_at + self.abandon_after
    }

    /// Whether an attempt may be given up while it can still be running at fal, and so be paid for twice.
    pub fn abandons_what_may_run(&self) -> bool {
        self.abandon_after < self.start + self.run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn giving_up_before_the_run_must_be_over_is_noticed() {
        let patient = Timeouts {
            submit: Duration::from_secs(15),
            lease: Duration::from_secs(30),
            start: Duration::from_mins(10),
            run: Duration::from_hours(1),
            abandon_after: Duration::from_hours(3),
            history_after: Duration::from_secs(30),
        };
        let hasty = Timeouts { abandon_after: Duration::from_hours(1), ..patient };

        assert!(!patient.abandons_what_may_run());
        assert!(hasty.abandons_what_may_run());
        assert!(hasty.abandon_at(DateTime::UNIX_EPOCH) < hasty.run_deadline(DateTime::UNIX_EPOCH));
    }
}
