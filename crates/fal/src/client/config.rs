//! What a client must be told, with the defaults of fal's service.

use std::time::Duration;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use url::Url;

use crate::web::{self, BaseUrlError};

/// Where fal is, who asks, and how long and how much an answer may be.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Base of the queue: https, or http to a loopback host.
    pub queue_url: Url,
    /// Base of the platform API with its version, under the same rule.
    pub platform_url: Url,
    /// Path of the billing events under the platform URL.
    pub billing_events_path: String,
    /// The key, `<id>:<secret>`.
    pub key: SecretString,
    /// Whole deadline of a submit, from connecting to the last byte of the answer.
    pub submit_timeout: Duration,
    /// Whole deadline of every other call.
    pub call_timeout: Duration,
    /// The largest result that is read, in bytes.
    pub result_max_bytes: u64,
}

/// The client cannot be built from these settings.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    #[error("queue_url {0}")]
    QueueUrl(BaseUrlError),
    #[error("platform_url {0}")]
    PlatformUrl(BaseUrlError),
    #[error("billing_events_path must begin with `/` and have no empty or dot segments, query or fragment")]
    BillingEventsPath,
    #[error("the key must be visible ASCII and not empty")]
    Key,
    #[error("submit_timeout and call_timeout must be longer than zero")]
    Timeout,
}

impl ClientConfig {
    /// The settings for fal's own service, with one key.
    pub fn new(key: SecretString) -> Self {
        Self {
            queue_url: fixed("https://queue.fal.run"),
            platform_url: fixed("https://api.fal.ai/v1"),
            billing_events_path: "/models/billing-events".to_owned(),
            key,
            submit_timeout: Duration::from_secs(15),
            call_timeout: Duration::from_secs(30),
            result_max_bytes: 64 * 1024 * 1024,
        }
    }

    /// Checks everything that can be checked without a call.
    pub fn check(&self) -> Result<(), ConfigError> {
        web::check_base_url(&self.queue_url).map_err(ConfigError::QueueUrl)?;
        web::check_base_url(&self.platform_url).map_err(ConfigError::PlatformUrl)?;
        if !is_plain_path(&self.billing_events_path) {
            return Err(ConfigError::BillingEventsPath);
        }
        if self.submit_timeout.is_zero() || self.call_timeout.is_zero() {
            return Err(ConfigError::Timeout);
        }
        self.authorization().map(drop)
    }

    /// The header that carries the key, marked so that nothing prints it.
    pub(super) fn authorization(&self) -> Result<HeaderValue, ConfigError> {
        let key = self.key.expose_secret();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::Key);
        }
        let mut header = HeaderValue::from_str(&format!("Key {key}")).map_err(|_| ConfigError::Key)?;
        header.set_sensitive(true);
        Ok(header)
    }
}

fn fixed(url: &str) -> Url {
    url.parse().expect("the built-in URLs are well formed")
}

fn is_plain_path(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|path| {
        path.split('/').all(|segment| !matches!(segment, "" | "." | "..") && !segment.contains(['?', '#', '\\', '%']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_queue_url(url: &str) -> Result<(), ConfigError> {
        let mut config = ClientConfig::new("id:secret".to_owned().into());
        config.queue_url = url.parse().unwrap();
        config.check()
    }

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(ClientConfig::new("id:secret".to_owned().into()).check(), Ok(()));
    }

    #[test]
    fn plain_http_goes_to_loopback_hosts_only() {
        for url in ["https://queue.fal.run", "http://127.0.0.1:80", "http://[::1]:9", "http://localhost:9/fal/"] {
            assert_eq!(with_queue_url(url), Ok(()), "{url}");
        }
        for url in [
            "http://queue.fal.run",
            "http://10.0.0.1",
            "http://0.0.0.0",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "ftp://127.0.0.1",
        ] {
            assert_eq!(with_queue_url(url), Err(ConfigError::QueueUrl(BaseUrlError::Scheme)), "{url}");
        }
        let user = Err(ConfigError::QueueUrl(BaseUrlError::UserInfo));
        assert_eq!(with_queue_url("https://u:p@queue.fal.run"), user);
        assert_eq!(with_queue_url("https://queue.fal.run/?a=1"), Err(ConfigError::QueueUrl(BaseUrlError::Query)));
        assert_eq!(with_queue_url("data:text/plain,x"), Err(ConfigError::QueueUrl(BaseUrlError::Host)));
    }

    #[test]
    fn a_key_that_would_break_the_header_is_refused() {
        for key in ["", "a b", "a\r\nb", "é"] {
            assert_eq!(ClientConfig::new(key.to_owned().into()).check(), Err(ConfigError::Key), "{key:?}");
        }
    }

    #[test]
    fn the_key_is_not_in_the_debug_text() {
        let config = ClientConfig::new("id:hunter2hunter2".to_owned().into());
        let header = config.authorization().unwrap();
        assert!(!format!("{config:?} {header:?}").contains("hunter2"));
    }

    #[test]
    fn a_billing_path_cannot_climb() {
        for (path, good) in
            [("/models/billing-events", true), ("x", false), ("/../x", false), ("/a//b", false), ("/a?b", false)]
        {
            let mut config = ClientConfig::new("id:secret".to_owned().into());
            config.billing_events_path = path.to_owned();
            assert_eq!(config.check().is_ok(), good, "{path}");
        }
    }
}
