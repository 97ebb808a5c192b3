//! What the servers wrote: no errors, and no more than a line in a second from each loop that cannot work.

use super::site::Site;
use serde_json::Value;
use std::collections::BTreeMap;

/// Of the errors, how many are told.
const SHOWN: usize = 5;

/// The first lines of level ERROR.
pub fn errors(site: &Site) -> Vec<String> {
    let lines = lines(site).into_iter().map(|(_, line)| line);
    lines.filter(|line| line["level"] == "ERROR").map(|line| line.to_string()).take(SHOWN).collect()
}

/// The most often that one server wrote the same warning of ours in the same second.
pub fn warnings_in_a_second(site: &Site) -> BTreeMap<String, usize> {
    let mut seen: BTreeMap<(usize, String, String), usize> = BTreeMap::new();
    for (server, line) in lines(site) {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        if line["level"] == "WARN" && text("target").starts_with("falconer") {
            let second = text("timestamp").chars().take("2026-01-01T00:00:00".len()).collect();
            let what =
                if line["batch"].is_string() { text("message") + ": " + &text("batch") } else { text("message") };
            *seen.entry((server, second, what)).or_default() += 1;
        }
    }
    let mut most: BTreeMap<String, usize> = BTreeMap::new();
    for ((_, _, what), count) in seen {
        let entry = most.entry(what).or_default();
        *entry = count.max(*entry);
    }
    most.retain(|_, count| *count > 1);
    most
}

fn lines(site: &Site) -> Vec<(usize, Value)> {
    let logs: Vec<String> = site.servers.iter().map(testkit::Server::log).collect();
    let numbered = logs.iter().enumerate();
    let lines = numbered.flat_map(|(server, log)| log.lines().map(move |line| (server, line)));
    lines.filter_map(|(server, line)| Some((server, serde_json::from_str(line).ok()?))).collect()
}
