//! Where a test lets a process die while it settles. Nothing of this is in a release build.

use super::load::Loaded;
use failpoints::Point;

/// What a batch is about, as far as a crash in it is worth a test of its own.
pub(super) struct Milestones {
    changes: bool,
    retries: bool,
    charges: bool,
}

impl Milestones {
    /// Looks at what was decided. Asks nothing where no process can be made to die.
    pub(super) fn of(loaded: &Loaded) -> Self {
        let mut changed = loaded.jobs.values().filter(|aggregate| aggregate.job != aggregate.job_before);
        Self {
            changes: failpoints::ENABLED && !loaded.writes.transitions.is_empty(),
            retries: failpoints::ENABLED
                && changed.any(|aggregate| aggregate.job_before.state == "running" && aggregate.job.state == "queued"),
            charges: failpoints::ENABLED && !loaded.writes.ledger.is_empty(),
        }
    }

    pub(super) fn before_write(&self) {
        hit(self.changes, Point::SettleBeforeWrite);
    }

    pub(super) fn before_commit(&self) {
        hit(self.changes, Point::SettleBeforeCommit);
        hit(self.retries, Point::RetryBeforeCommit);
        hit(self.charges, Point::LedgerBeforeCommit);
    }

    pub(super) fn after_commit(&self) {
        hit(self.changes, Point::SettleAfterCommit);
        hit(self.retries, Point::RetryAfterCommit);
        hit(self.charges, Point::LedgerAfterCommit);
    }
}

fn hit(here: bool, point: Point) {
    if here {
        failpoints::hit(point);
    }
}
