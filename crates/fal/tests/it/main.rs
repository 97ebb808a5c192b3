//! The client and the key store against a local server that keeps what it saw and misbehaves on demand.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]
#![expect(clippy::disallowed_methods, reason = "the tests' servers end with the test's runtime")]

extern crate falconer_fal as fal;

mod jwks;
mod jwks_outage;
mod jwks_poison;
mod keys;
mod platform;
mod poll;
mod server;
mod submit;

use std::time::Duration;

use fal::{ClientConfig, EndpointId, QueueClient};
use server::Server;

const KEY: &str = "key-id:canary-secret-0123456789";

/// The shared HTTP client, with the TLS provider that a binary would install.
fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    fal::http_client().unwrap()
}

fn config(server: &Server) -> ClientConfig {
    let mut config = ClientConfig::new(KEY.to_owned().into());
    config.queue_url = server.url.clone();
    config.platform_url = server.url.join("v1").unwrap();
    config.submit_timeout = Duration::from_millis(500);
    config.call_timeout = Duration::from_millis(500);
    config.result_max_bytes = 1024 * 1024;
    config
}

fn client(server: &Server) -> QueueClient {
    QueueClient::new(config(server), http()).unwrap()
}

fn model() -> EndpointId {
    EndpointId::parse("fal-ai/flux/dev").unwrap()
}
