//! Settings and secrets, and whether fal and the public address can be reached from here.

use super::Finding;
use crate::{commands::client::innermost, config::Config, durations::unix_now};
use bytes::Bytes;
use chrono::DateTime;
use domain::TokenKeys;
use fal::callback::VerifyingKeys;
use reqwest::{StatusCode, header};
use secrecy::ExposeSecret;
use std::time::Duration;
use url::Url;

const TIMEOUT: Duration = Duration::from_secs(5);
/// A clock that is further off than this will be too far off one day.
const CLOCK_SECONDS_MAX: i64 = 30;

/// What needs no network.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    vec![Finding::ok("settings", "hold together"), check_secret(config), check_fal_key(config)]
}

/// fal's signing keys, without which no callback can be checked, and its clock.
pub(super) async fn check_keys_of_fal(config: &Config, http: &reqwest::Client) -> Finding {
    const NAME: &str = "fal's keys";
    let url = &config.fal.jwks_url;
    let remedy = format!("curl -sS {url}");
    let (status, date, body) = match get(http, url).await {
        Ok(answer) => answer,
        Err(error) => return Finding::fail(NAME, format!("no answer from {url}: {error}"), remedy),
    };
    let keys = match VerifyingKeys::from_jwks(&body) {
        Ok(keys) if status.is_success() => keys,
        Ok(_) => return Finding::fail(NAME, format!("{url} answered with {status}"), remedy),
        Err(error) => return Finding::fail(NAME, format!("{url} answered with {status}: {error}"), remedy),
    };
    let count = keys.count();
    match date.map(|date| date - unix_now()) {
        Some(off) if off.abs() > CLOCK_SECONDS_MAX => {
            let found = format!("{count} at {url}, whose clock is {off} s from this machine's");
            Finding::warn(NAME, found, "timedatectl status")
        }
        _ => Finding::ok(NAME, format!("{count} at {url}")),
    }
}

/// fal's queue: any answer will do, since what it says of this path is not known.
pub(super) async fn check_queue_of_fal(config: &Config, http: &reqwest::Client) -> Finding {
    const NAME: &str = "fal's queue";
    let url = &config.fal.queue_url;
    match get(http, url).await {
        Ok(_) => Finding::ok(NAME, format!("{url} answers")),
        Err(error) => Finding::fail(NAME, format!("no answer from {url}: {error}"), format!("curl -sS {url}")),
    }
}

/// Whether fal can call us, as far as can be told from here.
pub(super) async fn check_public_url(config: &Config, http: &reqwest::Client) -> Finding {
    const NAME: &str = "public_url";
    let Some(base) = config.callback_base() else {
        let found = format!("{} is private, so fal is asked for no webhook: poll-only mode", config.public_url());
        return Finding::warn(
            NAME,
            found,
            "set server.public_url to an https address that reaches server.callback_addr",
        );
    };
    if config.server.public_url.is_none() {
        return Finding::ok(NAME, format!("{base} (fal is simulated, on this machine)"));
    }
    let health = format!("{}/healthz", base.as_str().trim_end_matches('/'));
    let remedy = format!("curl -sS {health} from outside, while a server runs");
    let Ok(url) = Url::parse(&health) else {
        return Finding::fail(NAME, format!("{health} is not a URL"), "set server.public_url");
    };
    match get(http, &url).await {
        Ok((status, _, _)) if status.is_success() => Finding::ok(NAME, format!("{base} answers, from here at least")),
        Ok((status, _, _)) => Finding::warn(NAME, format!("{health} answers with {status}"), remedy),
        Err(error) => Finding::warn(NAME, format!("no answer from {health}, from here at least: {error}"), remedy),
    }
}

fn check_secret(config: &Config) -> Finding {
    const NAME: &str = "FALCONER_SECRET";
    const REMEDY: &str = "export FALCONER_SECRET=$(openssl rand -hex 32), and keep it";
    match config.secrets.master.as_ref().map(|master| TokenKeys::derive(master.expose_secret())) {
        None => Finding::fail(NAME, "is not set; callback URLs are signed with it", REMEDY),
        Some(Err(error)) => Finding::fail(NAME, error.to_string(), REMEDY),
        Some(Ok(_)) => Finding::ok(NAME, "can be used"),
    }
}

fn check_fal_key(config: &Config) -> Finding {
    const NAME: &str = "FAL_KEY";
    const REMEDY: &str = "export FAL_KEY=… (https://fal.ai/dashboard/keys)";
    let simulated = config.fal.queue_url.scheme() == "http";
    match &config.secrets.fal_key {
        None if simulated => Finding::ok(NAME, "is not set; the simulator needs none"),
        None => Finding::fail(NAME, "is not set", REMEDY),
        Some(key) if !key.expose_secret().contains(':') => {
            Finding::warn(NAME, "is set, but is not of the shape id:secret", REMEDY)
        }
        Some(_) => Finding::ok(NAME, "is set"),
    }
}

/// Status, the clock of whoever answered in seconds since 1970, and the body.
async fn get(http: &reqwest::Client, url: &Url) -> Result<(StatusCode, Option<i64>, Bytes), String> {
    let answer = http.get(url.clone()).timeout(TIMEOUT).send().await.map_err(|error| innermost(&error))?;
    let date =
        answer.headers().get(header::DATE).and_then(|date| DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
    let (status, date) = (answer.status(), date.map(|date| date.timestamp()));
    let body = answer.bytes().await.map_err(|error| innermost(&error))?;
    Ok((status, date, body))
}
