//! What a person needs to know once `falconer dev` is up.

use super::{StateDir, keys::KeptKey};
use crate::config::Config;
use std::fmt::Write as _;

/// The text, ending with a line to try.
pub(super) fn text(config: &Config, state: &StateDir, key: &KeptKey, simulated: bool, private: bool) -> String {
    let server = &config.server;
    let mut text = String::new();
    let genuine = config.fal.queue_url.host_str().is_some_and(|host| host.ends_with("fal.run"));
    let note = match (simulated, genuine) {
        (true, _) => "simulated: nothing is generated, nothing is paid",
        (false, true) => "the real one: jobs cost money",
        (false, false) => "as fal.queue_url says",
    };
    let fal = format!("{} ({note})", config.fal.queue_url);
    let database =
        if private { format!("private, in {}", state.path().display()) } else { "DATABASE_URL's".to_owned() };
    let made = if key.made { "made just now for the project default" } else { "for the project default" };
    let lines = [
        ("API", format!("http://{}", server.api_addr)),
        ("callbacks", format!("http://{}", server.callback_addr)),
        ("metrics", format!("http://{}/metrics", server.metrics_addr)),
        ("fal", fal),
        ("slots", config.fal.slots.to_string()),
        ("database", database),
        ("API key", format!("{} ({made})", key.path.display())),
    ];
    text.push_str("Falconer is up. Ctrl-C drains and stops everything.\n\n");
    for (name, value) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<10} {value}");
    }
    if config.callback_base().is_none() {
        text.push_str("\n  fal cannot reach a callback address on this machine, so every job is polled instead. ");
        text.push_str("Set server.public_url to a public one.\n");
    }
    let (api, key) = (format!("http://{}", server.api_addr), key.path.display().to_string());
    let _ = write!(text, "\nTry:\n\n{}\n{}", first_job(&api, &key), commands(&api, &key, "falconer"));
    text
}

/// Lines for a shell that make `falconer`'s own commands find this server.
pub(crate) fn commands(api: &str, key_file: &str, falconer: &str) -> String {
    format!("  export FALCONER_CLIENT__URL={api} FALCONER_CLIENT__KEY=$(cat {key_file})\n  {falconer} jobs list\n")
}

/// A line for a shell that submits a job, with the key in a file.
pub(crate) fn first_job(api: &str, key_file: &str) -> String {
    format!(
        "  curl {api}/v1/jobs -H \"Authorization: Bearer $(cat {key_file})\" \\\n    \
         --json '{{\"model\": \"fal-ai/flux/schnell\", \"input\": {{\"prompt\": \"a falcon over the sea\"}}}}'\n"
    )
}
