//! What operators do, by names that are part of the outside contract.

use std::str::FromStr;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $noun:literal, $verb:literal;)*) => {
        /// What was done. Add, never rename.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name in SQL and in the API: noun and past tense.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => concat!($noun, ".", $verb),)* }
            }

            /// What it is done to.
            pub const fn noun(self) -> &'static str {
                match self { $(Self::$name => $noun,)* }
            }
        }
    };
}

actions! {
    KeyCreated = "key", "created";
    KeyRotated = "key", "rotated";
    KeyRevoked = "key", "revoked";
    ProjectCreated = "project", "created";
    ProjectRenamed = "project", "renamed";
    CredentialCreated = "credential", "created";
    CredentialRotated = "credential", "rotated";
    /// Its slots or whether it may be used.
    CredentialChanged = "credential", "changed";
    /// Pays for a project's jobs from now on.
    CredentialAssigned = "credential", "assigned";
    CredentialRepinned = "credential", "repinned";
    JobCanceled = "job", "canceled";
    JobResolved = "job", "resolved";
    JobRefetched = "job", "refetched";
    JobRegenerated = "job", "regenerated";
    CallbackReprocessed = "callback", "reprocessed";
    OrphanChargeDismissed = "orphan_charge", "dismissed";
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// A rule stood against it; nothing was changed.
    Refused,
    /// It was tried, and something outside our hands failed.
    Failed,
}

impl Outcome {
    pub const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Failed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// The text names no action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown action")]
pub struct UnknownAction;

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        Self::ALL.iter().copied().find(|action| action.as_str() == text).ok_or(UnknownAction)
    }
}
