//! The one HTTP client towards fal, and the rule which addresses it may be pointed at.

use std::time::Duration;

use failpoints::Bug;
use thiserror::Error;
use url::{Host, Url};

/// The longest wait for DNS, TCP and TLS together. It is shorter than any submit timeout, so that a connection that
/// never opened is told apart from an answer that never came.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle connections are dropped before fal's ingress does, so that a request is seldom written to a dead one.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The HTTP client could not be built.
#[derive(Debug, Error)]
pub enum HttpClientError {
    #[error("no TLS provider is installed in this process")]
    NoTlsProvider,
    #[error("could not build the HTTP client")]
    Build(#[source] reqwest::Error),
}

/// A base URL that the client refuses.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BaseUrlError {
    #[error("must be https, or http to a loopback host")]
    Scheme,
    #[error("must name a host")]
    Host,
    #[error("must not hold a user name or password")]
    UserInfo,
    #[error("must not have a query or a fragment")]
    Query,
}

/// Builds the client that all of this crate's calls share: no redirects (the key would travel), no retries (a submit
/// must not be repeated), no proxies from the environment, no decompression, HTTP/1.1.
///
/// The binary must have installed a rustls provider first, for instance with
/// `rustls::crypto::ring::default_provider().install_default()`.
pub fn http_client() -> Result<reqwest::Client, HttpClientError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(HttpClientError::NoTlsProvider);
    }
    let redirects = if failpoints::seeded(Bug::FollowsRedirects) {
        reqwest::redirect::Policy::limited(3)
    } else {
        reqwest::redirect::Policy::none()
    };
    reqwest::Client::builder()
        .redirect(redirects)
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .user_agent(concat!("falconer/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(HttpClientError::Build)
}

/// Checks a base URL that an operator set.
pub(crate) fn check_base_url(url: &Url) -> Result<(), BaseUrlError> {
    let host = url.host().ok_or(BaseUrlError::Host)?;
    if !(url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&host))) {
        return Err(BaseUrlError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BaseUrlError::UserInfo);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(BaseUrlError::Query);
    }
    Ok(())
}

/// Whether a host is this machine by its literal address, or by the one name that resolvers reserve for it.
pub(crate) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => *name == "localhost",
    }
}

/// Appends path segments to a base URL, each one encoded, so that no segment can reach another host or climb.
pub(crate) fn join<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    url.path_segments_mut().expect("a base URL with a host has path segments").pop_if_empty().extend(segments);
    url
}
