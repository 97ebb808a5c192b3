//! Relations between settings. Each is one line that names its keys.

use super::Config;
use std::{net::IpAddr, str::FromStr, time::Duration};
use store::PoolSizes;
use url::{Host, Url};

/// Returns every relation that does not hold.
pub(super) fn broken(config: &Config) -> Vec<String> {
    let (submitter, reconciler) = (&config.submitter, &config.reconciler);
    let positive = |name: &str, value: Duration| (!value.is_zero(), format!("{name} must be longer than zero"));
    let rules = [
        (
            submitter.submit_timeout < config.shutdown.drain,
            "submitter.submit_timeout must be shorter than shutdown.drain, so that a POST in flight can finish"
                .to_owned(),
        ),
        (
            config.shutdown.drain < submitter.lease,
            "shutdown.drain must be shorter than submitter.lease, so that no lease runs out while we stop".to_owned(),
        ),
        (
            submitter.lease < submitter.start_timeout,
            "submitter.lease must be shorter than submitter.start_timeout".to_owned(),
        ),
        (
            submitter.backoff_first <= submitter.backoff_longest,
            "submitter.backoff_first must not be longer than submitter.backoff_longest".to_owned(),
        ),
        ((1..=100).contains(&submitter.attempts_max), "submitter.attempts_max must be from 1 to 100".to_owned()),
        (
            reconciler.history_after < reconciler.abandon_after,
            "reconciler.history_after must be shorter than reconciler.abandon_after".to_owned(),
        ),
        (
            cron::Schedule::from_str(&config.audit.at).is_ok(),
            "audit.at must be a schedule of seconds, minutes, hours, days, months and weekdays, such as `0 17 * * * *`"
                .to_owned(),
        ),
        (
            config.audit.grace < config.audit.overlap,
            "audit.grace must be shorter than audit.overlap, so that a young charge is read again when it is old enough"
                .to_owned(),
        ),
        (
            config.database.max_connections >= PoolSizes::TOTAL_MIN,
            format!("database.max_connections must be at least {}", PoolSizes::TOTAL_MIN),
        ),
        (
            config.api.burst.is_none() || config.api.rate_per_second.is_some(),
            "api.burst needs api.rate_per_second".to_owned(),
        ),
        (config.receiver.body_max.as_u64() >= 1024, "receiver.body_max must be at least 1KB".to_owned()),
        (config.fal.slots.get() <= 100_000, "fal.slots must not be more than 100000".to_owned()),
        positive("reconciler.first_look", reconciler.first_look),
        positive("reconciler.poll_max", reconciler.poll_max),
        positive("retention.audit_log", config.retention.audit_log),
        positive("receiver.leeway", config.receiver.leeway),
        positive("submitter.submit_timeout", submitter.submit_timeout),
    ];
    rules.into_iter().filter(|(holds, _)| !holds).map(|(_, rule)| rule).collect()
}

/// Whether a URL points at this machine or a private network, as far as its text tells. fal drops webhooks to those.
pub(super) fn is_private(url: &Url) -> bool {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => ip.to_canonical(),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            return name == "localhost"
                || name.ends_with(".localhost")
                || name.ends_with(".internal")
                || !name.contains('.');
        }
        None => return true,
    };
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_hosts_are_known_by_their_text() {
        for url in [
            "http://127.0.0.1:1",
            "http://localhost",
            "http://10.1.2.3",
            "http://[::1]",
            "http://hooks.internal",
            "http://falconer:4801",
        ] {
            assert!(is_private(&Url::parse(url).unwrap()), "{url}");
        }
        for url in ["https://hooks.example.com", "https://8.8.8.8", "https://queue.fal.run"] {
            assert!(!is_private(&Url::parse(url).unwrap()), "{url}");
        }
    }
}
