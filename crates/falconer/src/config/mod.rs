//! Settings: one struct per section, read from flags, environment and file, checked together before anything listens.

mod checks;
mod load;
mod profiles;
mod show;
mod user_file;

pub(crate) use load::{Overrides, load, load_for_client};
pub(crate) use profiles::{ClientConfig, KeySource, ProfileConfig};
pub(crate) use show::redacted;

use bytesize::ByteSize;
use domain::{RetryPolicy, Timeouts};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32, time::Duration};
use store::keys::Rate;
use url::Url;

/// The commented default, as `falconer config default` prints it.
pub(crate) const DEFAULT: &str = include_str!("default.toml");

/// Every setting.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) server: ServerConfig,
    pub(crate) api: ApiConfig,
    pub(crate) fal: FalConfig,
    pub(crate) database: DatabaseConfig,
    pub(crate) submitter: SubmitterConfig,
    pub(crate) reconciler: ReconcilerConfig,
    pub(crate) audit: AuditConfig,
    pub(crate) receiver: ReceiverConfig,
    pub(crate) shutdown: ShutdownConfig,
    pub(crate) retention: RetentionConfig,
    pub(crate) client: ClientConfig,
    /// Servers by name, of which `client.profile` chooses one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) profiles: BTreeMap<String, ProfileConfig>,
    /// From outside the sections, never printed.
    #[serde(skip)]
    pub(crate) secrets: Secrets,
}

/// What comes from the environment alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// `FALCONER_SECRET`.
    pub(crate) master: Option<SecretString>,
    /// `FAL_KEY`.
    pub(crate) fal_key: Option<SecretString>,
    /// `FALCONER_ALLOW_UNSAFE_DURABILITY`.
    pub(crate) allow_unsafe_durability: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerConfig {
    pub(crate) api_addr: SocketAddr,
    pub(crate) callback_addr: SocketAddr,
    pub(crate) metrics_addr: SocketAddr,
    pub(crate) public_url: Option<Url>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiConfig {
    pub(crate) rate_per_second: Option<NonZeroU32>,
    pub(crate) burst: Option<NonZeroU32>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FalConfig {
    pub(crate) queue_url: Url,
    pub(crate) platform_url: Url,
    pub(crate) jwks_url: Url,
    pub(crate) billing_events_path: String,
    #[serde(default, deserialize_with = "load::text")]
    pub(crate) user_id: Option<String>,
    pub(crate) slots: NonZeroU32,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatabaseConfig {
    pub(crate) url: Option<String>,
    pub(crate) max_connections: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubmitterConfig {
    #[serde(with = "humantime_serde")]
    pub(crate) submit_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) lease: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) start_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) run_timeout: Duration,
    pub(crate) attempts_max: u16,
    #[serde(with = "humantime_serde")]
    pub(crate) backoff_first: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) backoff_longest: Duration,
    pub(crate) in_flight_margin: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReconcilerConfig {
    #[serde(with = "humantime_serde")]
    pub(crate) first_look: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) poll_max: Duration,
    pub(crate) polls_per_second_max: NonZeroU32,
    #[serde(with = "humantime_serde")]
    pub(crate) history_after: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) history_lag: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) abandon_after: Duration,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditConfig {
    /// As cron writes it, with seconds first.
    pub(crate) at: String,
    #[serde(with = "humantime_serde")]
    pub(crate) overlap: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) grace: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) whole_every: Duration,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReceiverConfig {
    pub(crate) body_max: ByteSize,
    #[serde(with = "humantime_serde")]
    pub(crate) leeway: Duration,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShutdownConfig {
    #[serde(with = "humantime_serde")]
    pub(crate) drain: Duration,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetentionConfig {
    #[serde(with = "humantime_serde")]
    pub(crate) jobs: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) callbacks: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) audit_log: Duration,
}

impl ApiConfig {
    /// What a key may do that says nothing of it; nothing means that there is no limit.
    pub(crate) fn rate(&self) -> Option<Rate> {
        self.rate_per_second.map(|per_second| Rate { per_second, burst: self.burst })
    }
}

impl Config {
    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts {
            submit: self.submitter.submit_timeout,
            lease: self.submitter.lease,
            start: self.submitter.start_timeout,
            run: self.submitter.run_timeout,
            abandon_after: self.reconciler.abandon_after,
            history_after: self.reconciler.history_after,
        }
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        RetryPolicy { first: self.submitter.backoff_first, longest: self.submitter.backoff_longest }
    }

    /// Base of the callback URL, public or not.
    pub(crate) fn public_url(&self) -> Url {
        self.server.public_url.clone().unwrap_or_else(|| {
            Url::parse(&format!("http://{}", self.server.callback_addr)).expect("an address makes a URL")
        })
    }

    /// Base of the callback URL that fal is given; nothing in poll-only mode, where fal would drop every webhook unseen.
    pub(crate) fn callback_base(&self) -> Option<Url> {
        let base = self.public_url();
        let fal_is_near = checks::is_private(&self.fal.queue_url);
        (fal_is_near || !checks::is_private(&base)).then_some(base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use figment::{
        Figment,
        providers::{Format, Toml},
    };

    fn config(changes: &str) -> Config {
        Figment::from(Toml::string(DEFAULT)).merge(Toml::string(changes)).extract().unwrap()
    }

    #[test]
    fn with_fal_itself_and_no_public_address_everything_is_polled() {
        assert_eq!(config("").callback_base(), None);
        assert_eq!(config("[server]\npublic_url = \"http://192.168.1.2:4801\"").callback_base(), None);
    }

    #[test]
    fn with_a_public_address_or_a_simulator_webhooks_are_asked_for() {
        let public = config("[server]\npublic_url = \"https://hooks.example.com/falconer\"");
        assert_eq!(public.callback_base().unwrap().as_str(), "https://hooks.example.com/falconer");
        let near = config("[fal]\nqueue_url = \"http://127.0.0.1:4810\"");
        assert_eq!(near.callback_base().unwrap().as_str(), "http://127.0.0.1:4801/");
    }
}
