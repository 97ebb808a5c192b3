//! The REST API, as commands ask it.

use super::{
    exit::{Exit, Refusal},
    output::{self, Format},
    problem,
};
use crate::config::{Config, KeySource};
use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::time::{Duration, Instant};
use url::Url;

/// For an answer to arrive whole, where nothing is waited for.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may be away before a command that can wait gives up.
pub(crate) const AWAY_MAX: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_secs(1);

/// Which server is asked, and as whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClientArgs {
    /// Where the API is [default: that of the profile, client.url, else `server.api_addr`]
    #[arg(long, value_name = "URL", help_heading = "Server")]
    url: Option<Url>,
    /// The API key [default: that of the profile, client.key; best given as `FALCONER_CLIENT__KEY`, where no list of processes shows it]
    #[arg(long, value_name = "KEY", help_heading = "Server")]
    key: Option<SecretString>,
}

/// One server and one key.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    key: SecretString,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    body: Option<String>,
    idempotency_key: Option<String>,
    timeout: Duration,
}

/// Why a call brought no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("no answer from {base}")]
    Unreachable { base: String, source: reqwest::Error },
    #[error("answered with {status}")]
    Problem { base: String, status: StatusCode, body: Bytes },
}

impl Client {
    pub(crate) fn of(config: &Config, args: ClientArgs) -> Result<Self> {
        let server = config.client.server(&config.profiles).map_err(|error| Refusal::usage("--profile", error))?;
        let base = match args.url.or(server.url) {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", config.server.api_addr),
        };
        let key = match (args.key, server.key) {
            (Some(key), _) => key,
            (None, Some(source)) => kept(config, &source)?,
            (None, None) => {
                let rule = "no API key is set: `export FALCONER_CLIENT__KEY=$(falconer keys create --project default)`";
                return Err(Refusal::usage("--key", rule).into());
            }
        };
        let http = fal::http_client().context("failed to build the HTTP client")?;
        Ok(Self { http, base, key })
    }

    /// Asks, and takes every answer but 2xx as the end of the command.
    pub(crate) async fn send(&self, call: &Call) -> Result<Bytes> {
        self.try_send(call).await.map_err(CallError::into_end)
    }

    /// Asks, and asks again for a while where the server is away or has too much to do. For calls that may be repeated.
    pub(crate) async fn send_patiently(&self, call: &Call) -> Result<Bytes> {
        let began = Instant::now();
        loop {
            match self.try_send(call).await {
                Err(error) if error.is_temporary() && began.elapsed() < AWAY_MAX => tokio::time::sleep(PAUSE).await,
                answer => return answer.map_err(CallError::into_end),
            }
        }
    }

    /// Asks, for those who ask again.
    pub(crate) async fn try_send(&self, call: &Call) -> Result<Bytes, CallError> {
        let unreachable = |source| self.unreachable(source);
        let mut request = self.request(call).timeout(call.timeout);
        if let Some(body) = &call.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        if status.is_success() { Ok(body) } else { Err(CallError::Problem { base: self.base.clone(), status, body }) }
    }

    /// Sends a body while it is being made, and gives the answer while it arrives. No time limits it as a whole.
    pub(crate) async fn exchange(&self, call: &Call, kind: &str, body: reqwest::Body) -> Result<Response, CallError> {
        let request = self.request(call).header(header::CONTENT_TYPE, kind).body(body);
        let answer = request.send().await.map_err(|source| self.unreachable(source))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.bytes().await.map_err(|source| self.unreachable(source))?;
        Err(CallError::Problem { base: self.base.clone(), status, body })
    }

    /// Where it asks.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Tells the request that would be sent, without the key.
    pub(crate) fn tell(&self, call: &Call, format: Format) -> String {
        let (method, url) = (call.method.as_str(), self.url(call));
        let body = call.body.as_deref();
        if format == Format::Table {
            let mut told = vec![format!("{method} {url}"), "authorization: Bearer flc_…".to_owned()];
            told.extend(call.idempotency_key.iter().map(|key| format!("idempotency-key: {key}")));
            told.extend(body.map(|body| format!("content-type: application/json\n\n{body}")));
            return output::lines(told);
        }
        let (method, url, key) = (json!(method), json!(url), json!(call.idempotency_key));
        let body = body.unwrap_or("null");
        format!("{{\"method\":{method},\"url\":{url},\"idempotency_key\":{key},\"body\":{body}}}\n")
    }

    fn request(&self, call: &Call) -> RequestBuilder {
        let request = self.http.request(call.method.clone(), self.url(call)).bearer_auth(self.key.expose_secret());
        match &call.idempotency_key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        }
    }

    fn unreachable(&self, source: reqwest::Error) -> CallError {
        CallError::Unreachable { base: self.base.clone(), source }
    }

    fn url(&self, call: &Call) -> String {
        let url = format!("{}{}", self.base, call.path);
        if call.query.is_empty() {
            return url;
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&call.query).finish();
        format!("{url}?{query}")
    }
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into())
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path.into())
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path.into())
    }

    /// Adds a parameter where there is a value for it.
    #[must_use]
    pub(crate) fn query(mut self, name: &str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name.to_owned(), value.to_string())));
        self
    }

    /// Gives a body, which must be JSON.
    #[must_use]
    pub(crate) fn body(mut self, body: String) -> Self {
        self.body = Some(body);
        self
    }

    #[must_use]
    pub(crate) fn idempotency_key(mut self, key: String) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// Lets the server take `longer` than usual.
    #[must_use]
    pub(crate) fn patience(mut self, longer: Duration) -> Self {
        self.timeout = TIMEOUT + longer;
        self
    }

    fn new(method: Method, path: String) -> Self {
        Self { method, path, query: Vec::new(), body: None, idempotency_key: None, timeout: TIMEOUT }
    }
}

impl CallError {
    /// What it means where it is the end of the command.
    pub(crate) fn into_end(self) -> anyhow::Error {
        match self {
            Self::Problem { base, status, body } => problem::refusal(&base, status, &body).into(),
            Self::Unreachable { base, source } => {
                let why = innermost(&source);
                let line = format!("falconer: no answer from {base} ({why}): is `falconer serve` running there?");
                Refusal::new(Exit::Failed, line).into()
            }
        }
    }

    /// Whether there was nobody to hear the call.
    pub(crate) fn is_unconnected(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if source.is_connect())
    }

    /// Whether the same call may bring more in a moment.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }
}

/// Reads a key from where the settings say, and warns where others may read it too.
fn kept(config: &Config, source: &KeySource) -> Result<SecretString> {
    let (key, warning) = config.client.read_key(source)?;
    if let Some(warning) = warning {
        eprintln!("warning: {warning}");
    }
    Ok(key)
}

/// Reads an answer that must be JSON of a known shape.
pub(crate) fn read<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    let told = || Refusal::new(Exit::Failed, "falconer: the answer is not one of a Falconer server");
    serde_json::from_slice(body).with_context(told)
}

/// The cause behind the causes, which is what a person can act on.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        // Whichever test is first installs the provider of this process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client {
            http: fal::http_client().unwrap(),
            base: "http://127.0.0.1:4800".to_owned(),
            key: SecretString::from("flc_secret"),
        }
    }

    #[test]
    fn a_dry_run_tells_the_request_and_never_the_key() {
        let call = Call::post("/v1/jobs").body("{\"a\":1.0}".to_owned()).idempotency_key("k".to_owned());
        for format in [Format::Table, Format::Json] {
            let told = client().tell(&call, format);
            assert!(told.contains("http://127.0.0.1:4800/v1/jobs") && told.contains("{\"a\":1.0}"), "{told}");
            assert!(!told.contains("flc_secret"), "{told}");
        }
        let told: serde_json::Value = serde_json::from_str(&client().tell(&call, Format::Json)).unwrap();
        assert_eq!((&told["method"], &told["idempotency_key"]), (&json!("POST"), &json!("k")));
    }

    #[test]
    fn parameters_are_escaped() {
        let call = Call::get("/v1/jobs").query("tag", Some("a&b=c")).query("model", None::<String>);
        assert_eq!(client().url(&call), "http://127.0.0.1:4800/v1/jobs?tag=a%26b%3Dc");
    }
}
