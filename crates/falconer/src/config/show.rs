//! The settings as they may be shown.

use super::Config;
use url::Url;

/// Writes all settings as TOML, the password of the database left out.
pub(crate) fn redacted(config: &Config) -> String {
    let mut shown = config.clone();
    shown.database.url = shown.database.url.map(|url| without_password(&url));
    toml::to_string(&shown).unwrap_or_else(|error| format!("the configuration cannot be shown: {error}"))
}

fn without_password(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut url) => {
            if url.password().is_some() {
                // Fails only for URLs that cannot have a password.
                let _ = url.set_password(Some("redacted"));
            }
            url.to_string()
        }
        Err(_) => "(not a URL)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT;
    use figment::{
        Figment,
        providers::{Format, Toml},
    };

    #[test]
    fn the_clients_key_is_not_shown() {
        let config = Figment::from(Toml::string(DEFAULT)).merge(Toml::string("[client]\nkey = \"flc_hunter2\""));
        assert!(!redacted(&config.extract().unwrap()).contains("hunter2"));
    }

    #[test]
    fn the_password_is_not_shown() {
        let shown = without_password("postgres://falconer:hunter2@db/falconer");
        assert!(!shown.contains("hunter2") && shown.contains("redacted"), "{shown}");
    }
}
