//! Typed ids. Every one is a UUID; the time-ordered ones (version 7) also say which partition holds the row.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(/// Who submits and who is billed.
    ProjectId);
id!(/// One fal account's key, with its user id and slots.
    CredentialId);
id!(/// One unit of work that a project submitted. Version 7.
    JobId);
id!(/// One try to have fal do a job. Version 7.
    AttemptId);
id!(/// One signed call from fal to us, as it arrived. Version 7.
    CallbackId);
id!(/// One API key of a project.
    KeyId);
id!(/// One thing that a subscriber may want to know. Version 7.
    EventId);
id!(/// Who reads a project's events under a name.
    ConsumerId);

impl ProjectId {
    /// The project `default`, which the first migration makes.
    pub const DEFAULT: Self = Self(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));
}

impl CredentialId {
    /// The credential that `FAL_KEY` fills, which the first migration makes.
    pub const DEFAULT: Self = Self(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));
}
