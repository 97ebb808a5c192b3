//! Ports for servers that cannot say which free one they got.

use rand::Rng as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Below the kernel's own range of ephemeral ports (32768 and up), so that no outgoing connection takes one in between.
const RANGE: std::ops::Range<u16> = 11_000..32_000;

/// Finds three ports that nobody listens on at this moment.
#[expect(clippy::disallowed_methods, reason = "tests run side by side and must not agree on a port")]
pub(crate) fn three_free() -> [SocketAddr; 3] {
    let mut dice = rand::rng();
    let mut found = Vec::new();
    while found.len() < 3 {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, dice.random_range(RANGE)));
        if !found.contains(&addr) && TcpListener::bind(addr).is_ok() {
            found.push(addr);
        }
    }
    [found[0], found[1], found[2]]
}
