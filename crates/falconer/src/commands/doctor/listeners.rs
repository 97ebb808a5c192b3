//! The three addresses: free for a server, or held by one.

use super::Finding;
use crate::config::Config;
use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::net::TcpListener;

const TIMEOUT: Duration = Duration::from_secs(3);

/// Checks each address, and the server where there is one.
pub(super) async fn check(config: &Config, http: &reqwest::Client) -> Vec<Finding> {
    let server = &config.server;
    // Each path is answered with 200 by our listener, without a key.
    let listeners = [
        ("api_addr", server.api_addr, "/errors/internal"),
        ("callback_addr", server.callback_addr, "/healthz"),
        ("metrics_addr", server.metrics_addr, "/livez"),
    ];
    let mut findings = Vec::new();
    for (name, addr, path) in listeners {
        findings.push(check_one(name, addr, path, http).await);
    }
    findings
}

async fn check_one(name: &'static str, addr: SocketAddr, path: &str, http: &reqwest::Client) -> Finding {
    let remedy = format!("set server.{name} to another address, or FALCONER_SERVER__{}", name.to_uppercase());
    match TcpListener::bind(addr).await {
        Ok(_) => Finding::ok(name, format!("{addr} is free: no server runs there")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if answers(http, addr, path).await {
                Finding::ok(name, format!("{addr} is held by a server of ours"))
            } else {
                Finding::fail(name, format!("{addr} is held by another program"), remedy)
            }
        }
        Err(error) => Finding::fail(name, format!("{addr} cannot be listened on: {error}"), remedy),
    }
}

async fn answers(http: &reqwest::Client, addr: SocketAddr, path: &str) -> bool {
    let answer = http.get(format!("http://{}{path}", reachable(addr))).timeout(TIMEOUT).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// Where a listener on every address of the machine can be called.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}
