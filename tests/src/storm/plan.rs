//! What a storm is told: its seed, its length, its load and what of fal's platform may be asked.

use serde::Serialize;
use std::time::Duration;

/// What a storm is told.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Plan {
    /// Decides the schedule, the load and what fal does wrong.
    pub seed: u64,
    /// For how long jobs come and faults happen; healing and draining come on top.
    #[serde(skip)]
    pub length: Duration,
    /// Jobs per second, whether earlier ones were answered or not.
    pub rate: f64,
    pub policy: Policy,
    pub history: History,
}

/// What jobs say in `on_unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    Patient,
    Impatient,
    /// Half of the jobs each; counted apart.
    Mixed,
}

/// How fal's list of past requests behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// It lists what ended three seconds ago or earlier.
    On,
    /// It lists what ended twenty seconds ago or earlier.
    Lagging,
    /// 404: there is none.
    Off,
    /// 403: the key may not read it.
    Refused,
}

impl Plan {
    /// The policy of the job with this number.
    pub fn policy_of(&self, number: u64) -> &'static str {
        match self.policy {
            Policy::Patient => "patient",
            Policy::Impatient => "impatient",
            Policy::Mixed if number.is_multiple_of(2) => "patient",
            Policy::Mixed => "impatient",
        }
    }
}

impl History {
    /// How late a request appears in it.
    pub fn lag(self) -> Duration {
        match self {
            Self::Lagging => Duration::from_secs(20),
            Self::On | Self::Off | Self::Refused => Duration::from_secs(3),
        }
    }

    /// Whether it lists anything.
    pub fn lists(self) -> bool {
        matches!(self, Self::On | Self::Lagging)
    }
}
