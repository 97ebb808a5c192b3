//! Known bugs, to see that the checks find them.

/// Declares the bugs, their names and [`Bug::ALL`] from one list.
macro_rules! bugs {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A bug that somebody might write, kept as a switch. The suite must go red for each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[$doc])* $variant,)*
        }

        impl Bug {
            /// Every bug.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name by which a test switches it on.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

bugs! {
    /// News are applied to an attempt whatever state it is in.
    NoStateGuard = "no_state_guard",
    /// fal is told 2xx before its callback is committed.
    AnswerBeforeCommit = "answer_before_commit",
    /// A callback that came before is settled as if it were the first.
    NoDeduplication = "no_deduplication",
    /// Whose account a callback comes from is not looked at.
    NoUserCheck = "no_user_check",
    /// A signature that does not verify is taken.
    LaxVerify = "lax_verify",
    /// Whoever lost a lease may still write under it.
    NoFence = "no_fence",
    /// What a dead process had claimed is sent again instead of being looked for.
    RescueResends = "rescue_resends",
    /// An accepted POST whose answer was lost is sent again at once.
    BlindRetry = "blind_retry",
    /// A charge is not written to the ledger.
    NoLedgerLine = "no_ledger_line",
    /// A retried callback charges once more.
    DoubleCharge = "double_charge",
    /// A redirect of fal is followed with our key.
    FollowsRedirects = "follows_redirects",
    /// A result is parsed and written again before it is stored.
    ReserializedResult = "reserialized_result",
    /// Nobody asks fal about callbacks that never came.
    NoReconciling = "no_reconciling",
    /// The second request under one idempotency key makes a second job.
    NoIdempotency = "no_idempotency",
}

/// Whether this bug is switched on by [`crate::BUG_VARIABLE`]; never in a release build.
#[inline]
pub fn seeded(bug: Bug) -> bool {
    #[cfg(debug_assertions)]
    {
        static SEEDED: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
        *SEEDED.get_or_init(|| {
            let said = crate::variable(crate::BUG_VARIABLE)?;
            let known = Bug::ALL.iter().copied().find(|bug| bug.name() == said);
            Some(known.unwrap_or_else(|| panic!("{} = {said:?} is no bug that is known", crate::BUG_VARIABLE)))
        }) == Some(bug)
    }
    #[cfg(not(debug_assertions))]
    {
        let _ = bug;
        false
    }
}
