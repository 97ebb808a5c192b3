//! A fal that behaves, and misbehaves on demand.
//!
//! One process serves fal's queue API at the root, its platform API under `/v1`, its webhook keys at
//! `/.well-known/jwks.json`, the pictures it "made" under `/media` and its own controls under `/_sim`. Requests really wait
//! in a queue, really occupy one of a limited number of slots, and end with a signed webhook. [`Faults`] break any of it,
//! by rates that a seed decides, and [`Script`] breaks it for one request.
//!
//! It knows nothing of the service under test: it shares no code with it, signs and counts by itself, and so can serve as
//! the witness of what truly happened ([`Simulator::truth`]). It leaves out uploads, web sockets and real models.

mod account;
mod admit;
mod callback;
mod catalogue;
mod clock;
mod config;
mod control;
mod core;
mod dice;
mod ending;
mod error;
mod faults;
mod hostile;
mod http_api;
mod listen;
mod occupancy;
mod output;
mod picture;
mod private_target;
mod python_json;
mod request;
mod run;
mod script;
mod signer;
mod simulator;
mod size;
mod tls;
mod truth;
mod view;
mod waiting;
mod world;

pub use crate::config::{AccountConfig, HistoryMode, Latency, SimulatorConfig, ValidationMode};
pub use crate::error::SimulatorError;
pub use crate::faults::{Fault, Faults};
pub use crate::occupancy::Occupancy;
pub use crate::request::{OutcomeKind, RequestState};
pub use crate::script::{Outcome, Script};
pub use crate::signer::{JwksMode, RotateMode, WebhookHeaders};
pub use crate::simulator::Simulator;
pub use crate::truth::{TruthEntry, TruthEvent};
pub use crate::view::{Counts, RequestView, TryView, View};
