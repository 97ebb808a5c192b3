//! The settings of a simulator. All have defaults, and all can be read from a file: durations are written as `6m` or `500ms`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::SimulatorError;
use crate::faults::Faults;

/// Everything that can be set before the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of fal's behaviour that its pages leave open")]
pub struct SimulatorConfig {
    /// Where plain HTTP is served; port 0 picks a free one.
    pub addr: SocketAddr,
    /// Where the same is served over TLS, if at all; port 0 picks a free one.
    pub tls_addr: Option<SocketAddr>,
    /// Decides every fault, run time, seed and picture, and the signing keys.
    pub seed: u64,
    /// How many requests of the account may be `IN_PROGRESS` at once. fal gives 2 to 40; larger is allowed for load tests.
    pub slots: u32,
    /// How many simulated seconds pass in a real one. Run times, retention and webhook back-off are divided by it;
    /// deadlines that callers set are real time.
    pub time_scale: f64,
    /// How long a result of 10 kB or more is kept after completion.
    #[serde(with = "humantime_serde")]
    pub retention_large: Duration,
    /// How long a smaller result is kept after completion.
    #[serde(with = "humantime_serde")]
    pub retention_small: Duration,
    /// The account's id, as webhooks carry it.
    pub user_id: String,
    /// The keys that are accepted. Empty accepts every key of the shape `id:secret`.
    pub keys: Vec<String>,
    /// Accounts beside that one. Each has its own queue, slots, history and bills, and sees nothing of the others.
    pub accounts: Vec<AccountConfig>,
    /// What goes wrong, and how often.
    pub faults: Faults,
    /// Run times by endpoint id, before the models' own; `*` stands for every endpoint.
    pub latency: BTreeMap<String, Latency>,
    /// How the platform API's request history answers.
    pub history: HistoryMode,
    /// How long after its end a request appears in the history. Real time, not scaled.
    #[serde(with = "humantime_serde")]
    pub history_lag: Duration,
    /// How the platform API's billing events answer.
    pub billing: HistoryMode,
    /// How long after its end a request appears in the billing events. Real time, not scaled.
    #[serde(with = "humantime_serde")]
    pub billing_lag: Duration,
    /// A file to which every truth entry is appended as a line of JSON.
    pub truth_log: Option<PathBuf>,
    /// Makes every good result at least this many bytes long; from 10,000 on it falls under `retention_large`.
    pub pictures_pad_to: Option<usize>,
    /// Whether a repeated webhook try carries a fresh timestamp and signature. fal's pages do not say.
    pub restamp: bool,
    /// Whether webhooks to loopback and private addresses are dropped unseen, as fal does.
    pub drop_private: bool,
    /// How long the first webhook try waits for its answer. Real time.
    #[serde(with = "humantime_serde")]
    pub webhook_timeout_first: Duration,
    /// How long later tries wait. Real time.
    #[serde(with = "humantime_serde")]
    pub webhook_timeout_later: Duration,
    /// The pause after the first failed try; each later one is half as long again.
    #[serde(with = "humantime_serde")]
    pub webhook_backoff_first: Duration,
    /// The longest pause between two tries.
    #[serde(with = "humantime_serde")]
    pub webhook_backoff_longest: Duration,
    /// The most tries that one webhook gets.
    pub webhook_tries_max: u32,
    /// Whether a cancelled request sends a webhook. fal's pages do not say.
    pub webhook_on_cancel: bool,
    /// Whether a missed start deadline sends a webhook. fal's pages do not say.
    pub webhook_on_start_timeout: bool,
    /// Whether the `x` of the published keys carries base64 padding; both have been seen.
    pub jwks_padded: bool,
    /// Where a missing input field is noticed.
    pub validation: ValidationMode,
}

/// One more account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// The account's id, as webhooks carry it.
    pub user_id: String,
    /// The keys that open it, `id:secret`.
    pub keys: Vec<String>,
    /// How many of its requests may be `IN_PROGRESS` at once.
    pub slots: u32,
}

/// The bounds of a run time; the dice choose inside them, evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The shortest run.
    #[serde(with = "humantime_serde")]
    pub min: Duration,
    /// The longest run.
    #[serde(with = "humantime_serde")]
    pub max: Duration,
}

impl Latency {
    /// A run time that is always the same.
    pub const fn exactly(span: Duration) -> Self {
        Self { min: span, max: span }
    }

    /// The run time at `unit`, which goes from 0 to 1.
    pub(crate) fn at(self, unit: f64) -> Duration {
        self.min + self.max.saturating_sub(self.min).mul_f64(unit)
    }
}

/// How a listing of the platform API answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryMode {
    /// It lists.
    #[default]
    On,
    /// 404, as if the account had no such endpoint.
    Off,
    /// 403, as for a key without the scope.
    Refused,
    /// 503, as in an outage.
    Down,
}

/// Where a bad input is noticed: fal's own gateway looks at nothing, the model does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidationMode {
    /// The submit is answered with 422 and nothing is accepted.
    #[default]
    AtSubmit,
    /// The request is accepted and ends with 422 when it runs.
    AtRun,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls_addr: None,
            seed: 1,
            slots: 2,
            time_scale: 1.0,
            retention_large: Duration::from_mins(6),
            retention_small: Duration::from_hours(1),
            user_id: "user-simulated-0001".to_owned(),
            keys: Vec::new(),
            accounts: Vec::new(),
            faults: Faults::default(),
            latency: BTreeMap::new(),
            history: HistoryMode::On,
            history_lag: Duration::ZERO,
            billing: HistoryMode::On,
            billing_lag: Duration::ZERO,
            truth_log: None,
            pictures_pad_to: None,
            restamp: true,
            drop_private: false,
            webhook_timeout_first: Duration::from_secs(15),
            webhook_timeout_later: Duration::from_mins(2),
            webhook_backoff_first: Duration::from_secs(5),
            webhook_backoff_longest: Duration::from_mins(2),
            webhook_tries_max: 31,
            webhook_on_cancel: false,
            webhook_on_start_timeout: true,
            jwks_padded: true,
            validation: ValidationMode::AtSubmit,
        }
    }
}

impl SimulatorConfig {
    /// Refuses settings that would make the simulator meaningless.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Config`] names the setting.
    pub fn check(&self) -> Result<(), SimulatorError> {
        if self.slots == 0 || self.accounts.iter().any(|account| account.slots == 0) {
            return Err(SimulatorError::Config("slots must be at least 1".to_owned()));
        }
        if !(self.time_scale.is_finite() && self.time_scale > 0.0) {
            return Err(SimulatorError::Config("time_scale must be above 0".to_owned()));
        }
        if let Some((id, _)) = self.latency.iter().find(|(_, latency)| latency.min > latency.max) {
            return Err(SimulatorError::Config(format!("latency of {id} has its min above its max")));
        }
        self.faults.check()
    }
}

#[cfg(test)]
mod tests {
    use super::SimulatorConfig;

    #[test]
    fn settings_survive_a_round_trip_and_unknown_ones_are_refused() {
        let mut config = SimulatorConfig::default();
        config.faults.callback_late = 0.25;
        let text = serde_json::to_string(&config).unwrap();
        assert!(text.contains(r#""retention_large":"6m""#), "{text}");
        assert_eq!(serde_json::from_str::<SimulatorConfig>(&text).unwrap(), config);
        assert!(serde_json::from_str::<SimulatorConfig>(r#"{"slotz": 3}"#).is_err());
        assert!(serde_json::from_str::<SimulatorConfig>(r#"{"faults": {"callback_lat": 1}}"#).is_err());
    }

    #[test]
    fn senseless_settings_are_refused() {
        for text in [r#"{"slots": 0}"#, r#"{"time_scale": 0}"#, r#"{"faults": {"callback_late": 1.5}}"#] {
            assert!(serde_json::from_str::<SimulatorConfig>(text).unwrap().check().is_err(), "{text}");
        }
    }
}
