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
    /// News are applied to an attempt although it has ended.
    NoStateGuard = "no_state_guard",
    /// A callback that repeats what is recorded is settled as if it were the first.
    NoDeduplication = "no_deduplication",
    /// fal is told 2xx before its callback is committed.
    AnswerBeforeCommit = "answer_before_commit",
    /// A caller is told 202 before the job is committed.
    AcknowledgeBeforeCommit = "acknowledge_before_commit",
    /// Whose account a callback was signed for is not looked at.
    NoUserCheck = "no_user_check",
    /// A signature that does not verify is taken.
    LaxVerify = "lax_verify",
    /// Whoever has lost the lease of an attempt sends it all the same.
    SendsPastLease = "sends_past_lease",
    /// What a dead process was sending is sent again, as if nothing had left.
    RescueResends = "rescue_resends",
    /// A POST whose answer was lost is sent again at once.
    BlindRetry = "blind_retry",
    /// The slots of the account are not counted.
    NoSlotCount = "no_slot_count",
    /// A charge is not written to the ledger.
    NoLedgerLine = "no_ledger_line",
    /// A run that fal does not bill is written to the ledger as a charge.
    ChargesForNothing = "charges_for_nothing",
    /// fal's word that it will try to cancel is taken for the end of the run.
    CancelBelieved = "cancel_believed",
    /// A redirect of fal is followed, with what was sent.
    FollowsRedirects = "follows_redirects",
    /// A result is parsed and written anew before it is stored.
    ReserializedResult = "reserialized_result",
    /// A job ends and no event tells of it.
    NoEvent = "no_event",
    /// Nobody asks fal about callbacks that never came.
    NoReconciling = "no_reconciling",
    /// The second request under one idempotency key makes a second job.
    NoIdempotency = "no_idempotency",
    /// Whose job it is that a caller asks for is not looked at.
    NoTenantCheck = "no_tenant_check",
    /// The callback URL is logged, with the token that routes callbacks.
    TokenInLog = "token_in_log",
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
