//! Where a process may be made to die.

/// Declares the points, their names and [`Point::ALL`] from one list.
macro_rules! points {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A place at which a crash is worth a test: before or after something that cannot be taken back.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Point {
            $($(#[$doc])* $variant,)*
        }

        impl Point {
            /// Every point, in the order of a job's way.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name by which a test asks for it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

points! {
    /// Jobs are inserted, not committed.
    AcceptBeforeCommit = "accept.before_commit",
    /// Jobs are committed, their callers have no answer.
    AcceptAfterCommit = "accept.after_commit",
    /// Attempts are inserted, not committed.
    ClaimBeforeCommit = "claim.before_commit",
    /// Attempts are committed, nothing is sent.
    ClaimAfterCommit = "claim.after_commit",
    /// The next thing is the POST.
    SubmitBeforePost = "submit.before_post",
    /// fal has answered, and its answer is recorded nowhere.
    SubmitAfterAnswer = "submit.after_answer",
    /// fal's answer is committed.
    SubmitAfterRecord = "submit.after_record",
    /// A callback is verified, and stored nowhere.
    CallbackBeforeSettle = "callback.before_settle",
    /// A callback is committed, fal has no answer.
    CallbackBeforeAnswer = "callback.before_answer",
    /// Rows are locked and decided about.
    SettleBeforeWrite = "settle.before_write",
    /// Everything is written, not committed.
    SettleBeforeCommit = "settle.before_commit",
    /// A settled batch is committed, nobody knows.
    SettleAfterCommit = "settle.after_commit",
    /// As `settle.before_commit`, of a batch that gives a job another try.
    RetryBeforeCommit = "retry.before_commit",
    /// The batch that gave a job another try is committed.
    RetryAfterCommit = "retry.after_commit",
    /// As `settle.before_commit`, of a batch that writes to the ledger.
    LedgerBeforeCommit = "ledger.before_commit",
    /// The batch that wrote to the ledger is committed.
    LedgerAfterCommit = "ledger.after_commit",
    /// Attempts are leased for a look, fal is not asked.
    ReconcileBeforeLook = "reconcile.before_look",
    /// fal has told what it knows, and that is recorded nowhere.
    ReconcileAfterLook = "reconcile.after_look",
    /// Attempts whose lease ran out are found, and not yet called unknown.
    RescueBeforeSettle = "rescue.before_settle",
    /// A wish to cancel is recorded, fal is not told.
    CancelBeforeCall = "cancel.before_call",
    /// fal has answered the wish to cancel, and that is recorded nowhere.
    CancelAfterCall = "cancel.after_call",
    /// fal's bills are read, what they show is not recorded.
    AuditBeforeWrite = "audit.before_write",
    /// What fal's bills show is recorded, how far they were read is not.
    AuditBeforeMark = "audit.before_mark",
    /// A migration is about to be applied.
    MigrateBeforeStep = "migrate.before_step",
    /// All migrations are applied, nobody has been told.
    MigrateAfterLast = "migrate.after_last",
    /// Told to stop; nothing has been drained.
    ShutdownBeforeDrain = "shutdown.before_drain",
    /// Everything is drained; the process is about to end.
    ShutdownAfterDrain = "shutdown.after_drain",
}

/// Passes a point. Aborts or stops the process where [`crate::POINT_VARIABLE`] says so; empty in a release build.
#[inline]
pub fn hit(point: Point) {
    #[cfg(debug_assertions)]
    armed::pass(point);
    #[cfg(not(debug_assertions))]
    let _ = point;
}

#[cfg(debug_assertions)]
mod armed {
    use super::Point;
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    pub(super) struct Armed {
        pub(super) point: Point,
        pub(super) at_hit: u64,
        pub(super) stops: bool,
        hits: AtomicU64,
    }

    pub(super) fn pass(point: Point) {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let armed = ARMED.get_or_init(|| crate::variable(crate::POINT_VARIABLE).map(|said| parse(&said)));
        let Some(armed) = armed.as_ref().filter(|armed| armed.point == point) else { return };
        if armed.hits.fetch_add(1, Ordering::SeqCst) + 1 != armed.at_hit {
            return;
        }
        if armed.stops {
            stop_this_process();
        } else {
            std::process::abort();
        }
    }

    /// Panics at what it cannot read: a test that asks for a point which is not there would pass for nothing.
    pub(super) fn parse(said: &str) -> Armed {
        let mut parts = said.split(':');
        let (name, at_hit, how) = (parts.next(), parts.next(), parts.next());
        let point = Point::ALL.iter().copied().find(|point| Some(point.name()) == name);
        let at_hit = at_hit.and_then(|hit| hit.parse().ok()).filter(|hit| *hit > 0);
        match (point, at_hit, how) {
            (Some(point), Some(at_hit), None) => Armed { point, at_hit, stops: false, hits: AtomicU64::new(0) },
            (Some(point), Some(at_hit), Some("stop")) => Armed { point, at_hit, stops: true, hits: AtomicU64::new(0) },
            _ => panic!("{} = {said:?}: expected POINT:HIT or POINT:HIT:stop", crate::POINT_VARIABLE),
        }
    }

    fn stop_this_process() {
        let pid = std::process::id().to_string();
        let sent = std::process::Command::new("kill").args(["-STOP", &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "this process cannot stop itself");
        // The signal goes to the process, and another thread may be the one that it interrupts: this one must not get past
        // the point before all of them stand still.
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::{Point, armed::parse};
    use std::{collections::BTreeSet, panic};

    #[test]
    fn a_hit_of_a_point_is_asked_for_by_its_name() {
        for point in Point::ALL {
            let armed = parse(&format!("{}:7", point.name()));
            assert_eq!((armed.point, armed.at_hit, armed.stops), (*point, 7, false));
        }
        assert!(parse("submit.before_post:1:stop").stops);
    }

    #[test]
    fn what_names_no_hit_of_a_point_is_refused_loudly() {
        for said in
            ["submit.before_post", "submit.before_post:0", "submit.before:1", "submit.before_post:1:go", ":", ""]
        {
            assert!(panic::catch_unwind(|| parse(said)).is_err(), "{said:?}");
        }
    }

    #[test]
    fn no_two_points_share_a_name() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
