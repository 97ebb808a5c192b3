//! The TLS listener, under fal's own host names.

use std::net::SocketAddr;

use falconer_simulator::SimulatorConfig;

use crate::fixture::{Fal, quick};

#[tokio::test]
async fn a_client_that_trusts_the_authority_reaches_fals_own_host_names() {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let fal = Fal::start(SimulatorConfig { tls_addr: Some(any), ..quick() }).await;
    let addr = fal.sim.tls_addr().unwrap();
    let authority = reqwest::Certificate::from_pem(fal.sim.tls_ca_pem().unwrap().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).resolve("queue.fal.run", addr).build().unwrap();
    let request = client.post("https://queue.fal.run/fal-ai/flux/dev").header("authorization", "Key id:secret");
    let response = request.body(r#"{"prompt":"x"}"#).send().await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let url = body["status_url"].as_str().unwrap();
    assert!(url.starts_with("https://queue.fal.run/fal-ai/flux/requests/"), "{url}");
    let status = client.get(url).header("authorization", "Key id:secret").send().await.unwrap();
    assert!(status.status().is_success());
    let by_address = client.get(format!("https://{addr}/.well-known/jwks.json")).send().await.unwrap();
    assert!(by_address.status().is_success());
}

#[tokio::test]
async fn a_shutdown_frees_the_port() {
    let fal = Fal::start(quick()).await;
    fal.submit("an owl", None).await;
    fal.sim.shutdown().await;
    assert!(tokio::net::TcpStream::connect(fal.sim.addr()).await.is_err());
}
