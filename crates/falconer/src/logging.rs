//! Logs: lines for people on a terminal, JSON elsewhere. Both go to standard error, so that output stays output; a command
//! that draws there logs into a file.

use anyhow::{Context, Result};
use std::{fs::File, io::IsTerminal, path::Path};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Of a connection that dies, sqlx would write a line, and another when it is tested; our loops say once a second that the
/// database is away. Slow statements stay worth a line.
const DEFAULT: &str = "info,sqlx=warn,sqlx::postgres=error,sqlx_core=error,hyper=warn,apalis_core=warn";

/// Starts logging to standard error. A second call changes nothing.
pub(crate) fn start() {
    let registry = tracing_subscriber::registry().with(filter());
    let started = if std::io::stderr().is_terminal() {
        registry.with(fmt::layer().with_writer(std::io::stderr).with_target(false)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
    };
    let _ = started;
}

/// Starts logging to the end of a file, as JSON.
pub(crate) fn start_in(path: &Path) -> Result<()> {
    let file = File::options().create(true).append(true).open(path);
    let file = file.with_context(|| format!("failed to open the log {}", path.display()))?;
    let layer = fmt::layer().json().flatten_event(true).with_ansi(false).with_writer(file);
    tracing_subscriber::registry().with(filter()).with(layer).try_init().context("logging has already begun")
}

/// `RUST_LOG`, or what suits most.
fn filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT))
}
