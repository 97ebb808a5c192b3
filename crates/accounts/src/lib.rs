//! The fal accounts of an installation, and a client for each.
//!
//! The default one has its key from `FAL_KEY`. The others lie sealed in the database ([`domain::sealing`]); this crate opens
//! them, and notices within seconds that one was added, rotated, disabled or given other slots.

mod key;
mod registry;
mod sealer;

pub use key::{FalKey, KeyError};
pub use registry::{Accounts, AccountsConfig, ActiveAccount, NoClient};
pub use sealer::{Resealed, Sealer};
