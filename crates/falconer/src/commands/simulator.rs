//! `falconer simulator`: a fal for trying things out, with faults on demand.

use super::{
    exit::{Exit, Refusal},
    output::{self, Format, OutputArgs},
};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use simulator::{Fault, Faults, Simulator, SimulatorConfig, SimulatorError};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tokio::signal::unix::{SignalKind, signal};

const ADDR: &str = "127.0.0.1:4810";

/// Flags of `falconer simulator`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  falconer simulator --slots 10 --fault callback_all_lost=0.1\n\n\
    --config names a file of simulator settings here, not Falconer's; flags go before it.")]
pub(crate) struct SimulatorArgs {
    /// Where to listen [default: 127.0.0.1:4810]
    #[arg(long)]
    addr: Option<SocketAddr>,
    /// Where to listen with TLS too
    #[arg(long)]
    tls_addr: Option<SocketAddr>,
    /// Where to write the authority that clients of the TLS listener must trust, in PEM
    #[arg(long, requires = "tls_addr", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Requests that run at once
    #[arg(long)]
    slots: Option<u32>,
    /// Decides every fault, run time and picture
    #[arg(long)]
    seed: Option<u64>,
    /// Simulated seconds in a real one
    #[arg(long, value_name = "FACTOR")]
    time_scale: Option<f64>,
    /// The account that callbacks are signed for
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    /// How often a thing goes wrong, from 0 to 1; `--list-faults` names them
    #[arg(long = "fault", value_delimiter = ',', value_parser = parse_fault, value_name = "NAME=RATE")]
    faults: Vec<(Fault, f64)>,
    /// A file to which everything that truly happened is appended
    #[arg(long, value_name = "FILE")]
    truth_log: Option<PathBuf>,
    /// Print the names of all faults, and end
    #[arg(long)]
    list_faults: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl SimulatorArgs {
    pub(crate) async fn run(self, file: Option<PathBuf>) -> Result<Exit> {
        if self.list_faults {
            output::print(&output::lines(Faults::names()));
            return Ok(Exit::Done);
        }
        let mut config = read(file.as_deref())?;
        self.apply(&mut config);
        let mut terminate = signal(SignalKind::terminate()).context("failed to take over SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("failed to take over SIGINT")?;
        let simulator = Simulator::start(config).await.map_err(refusal)?;
        if let (Some(path), Some(pem)) = (&self.tls_ca, simulator.tls_ca_pem()) {
            std::fs::write(path, pem).with_context(|| format!("failed to write {}", path.display()))?;
        }
        output::print(&self.announcement(&simulator));
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        simulator.shutdown().await;
        Ok(Exit::Done)
    }

    fn apply(&self, config: &mut SimulatorConfig) {
        config.addr = self.addr.unwrap_or(config.addr);
        config.tls_addr = self.tls_addr.or(config.tls_addr);
        config.slots = self.slots.unwrap_or(config.slots);
        config.seed = self.seed.unwrap_or(config.seed);
        config.time_scale = self.time_scale.unwrap_or(config.time_scale);
        config.user_id = self.user_id.clone().unwrap_or_else(|| config.user_id.clone());
        config.truth_log = self.truth_log.clone().or_else(|| config.truth_log.clone());
        config.faults =
            self.faults.iter().fold(config.faults.clone(), |faults, (fault, rate)| faults.with(*fault, *rate));
    }

    /// Where it is, as a server's environment takes it.
    fn announcement(&self, simulator: &Simulator) -> String {
        let tls = simulator.tls_addr().map(|addr| format!("https://{addr}"));
        let urls = [
            ("FALCONER_FAL__QUEUE_URL", "queue_url", simulator.queue_url()),
            ("FALCONER_FAL__PLATFORM_URL", "platform_url", simulator.platform_url()),
            ("FALCONER_FAL__JWKS_URL", "jwks_url", simulator.jwks_url()),
        ];
        if self.output.format == Format::Table {
            let exports = urls.iter().map(|(name, _, url)| format!("export {name}={url}"));
            return output::lines(exports.chain(tls.map(|tls| format!("# with TLS: {tls}"))));
        }
        let mut all = json!({"user_id": simulator.user_id(), "tls_url": tls});
        for (_, name, url) in urls {
            all[name] = json!(url);
        }
        format!("{all}\n")
    }
}

/// Reads a file of settings; what it leaves out has the simulator's own default, but for the address.
fn read(file: Option<&Path>) -> Result<SimulatorConfig> {
    let text = match file {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?,
    };
    let told = |error: toml::de::Error| Refusal::usage("--config", error.to_string().trim_end());
    let mut table: toml::Table = toml::from_str(&text).map_err(told)?;
    table.entry("addr").or_insert_with(|| ADDR.into());
    Ok(table.try_into().map_err(told)?)
}

fn parse_fault(text: &str) -> Result<(Fault, f64), String> {
    let (name, rate) = text.split_once('=').ok_or("must be written NAME=RATE")?;
    let fault =
        name.parse::<Fault>().map_err(|error| format!("{error}; `falconer simulator --list-faults` names all"))?;
    let rate = rate.parse::<f64>().ok().filter(|rate| (0.0..=1.0).contains(rate));
    Ok((fault, rate.ok_or("the rate must be from 0 to 1")?))
}

fn refusal(error: SimulatorError) -> anyhow::Error {
    match error {
        SimulatorError::Config(rule) => Refusal::new(Exit::Usage, rule).into(),
        error => anyhow::Error::new(error).context("failed to start the simulator"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_sets_what_no_flag_does() {
        let dir = std::env::temp_dir().join(format!("falconer-simulator-{}", std::process::id()));
        std::fs::write(&dir, "slots = 7\nseed = 9\n[faults]\ncallback_late = 0.5\n").unwrap();
        let mut config = read(Some(&dir)).unwrap();
        std::fs::remove_file(&dir).unwrap();
        assert_eq!(config.addr, ADDR.parse().unwrap());
        let cli = TestCli::parse_from(["x", "--slots", "3", "--fault", "submit_429=0.25", "--addr", "127.0.0.1:9"]);
        cli.args.apply(&mut config);
        assert_eq!((config.slots, config.seed, config.addr.port()), (3, 9, 9));
        assert!((config.faults.submit_429 - 0.25).abs() < f64::EPSILON);
        assert!((config.faults.callback_late - 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_fault_is_refused_by_name_and_rate() {
        for text in ["callback_lost=0.1", "submit_429", "submit_429=2", "submit_429=x"] {
            assert!(parse_fault(text).is_err(), "{text}");
        }
    }

    use clap::Parser;

    #[derive(Parser)]
    struct TestCli {
        #[command(flatten)]
        args: SimulatorArgs,
    }
}
