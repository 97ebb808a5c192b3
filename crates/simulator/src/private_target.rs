//! fal's rule that webhooks to loopback, private and link-local addresses are dropped before a byte is sent.

use std::net::IpAddr;

use url::{Host, Url};

/// Whether a webhook URL leads to an address that fal would not call. A name that does not resolve is not private.
pub(crate) async fn is_private(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    match url.host() {
        Some(Host::Ipv4(address)) => is_private_address(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_private_address(IpAddr::V6(address)),
        Some(Host::Domain(name)) => {
            let port = url.port_or_known_default().unwrap_or(80);
            match tokio::net::lookup_host((name, port)).await {
                Ok(mut found) => found.any(|address| is_private_address(address.ip())),
                Err(_) => false,
            }
        }
        None => false,
    }
}

fn is_private_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private_address(IpAddr::V4(v4)),
            None => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::is_private_address;

    #[test]
    fn inside_addresses_are_told_from_outside_ones() {
        for inside in ["127.0.0.1", "10.1.2.3", "192.168.0.9", "169.254.1.1", "::1", "fd00::1", "::ffff:127.0.0.1"] {
            assert!(is_private_address(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["34.123.59.101", "2600:1901::1"] {
            assert!(!is_private_address(outside.parse().unwrap()), "{outside}");
        }
    }
}
