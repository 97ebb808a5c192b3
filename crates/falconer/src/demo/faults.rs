//! What the simulated fal does wrong in the demo, and how fast its time runs.

use simulator::{Fault, Faults, Latency, Script, Simulator, SimulatorConfig};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

/// Simulated seconds in a real one: runs of 2 to 10 s take 0.4 to 2 s, and fal's pauses between callback tries shrink alike.
const TIME_SCALE: f64 = 5.0;
/// How long after its end a run appears in fal's history, in real time.
const HISTORY_LAG: Duration = Duration::from_millis(500);

/// The models of the demo, with their shortest and longest runs in simulated milliseconds.
pub(super) const MODELS: [(&str, u64, u64); 5] = [
    ("fal-ai/flux/schnell", 2_000, 5_000),
    ("fal-ai/flux/dev", 4_000, 8_000),
    ("fal-ai/flux-pro/v1.1", 5_000, 10_000),
    ("fal-ai/bria/background/remove", 2_500, 6_000),
    ("fal-ai/nano-banana/edit", 4_000, 9_000),
];

/// How often what goes wrong.
pub(super) fn rates() -> Faults {
    Faults::default()
        .with(Fault::CallbackTryLost, 0.30)
        .with(Fault::CallbackAllLost, 0.10)
        .with(Fault::CallbackDoubled, 0.10)
        .with(Fault::CallbackBeforeAnswer, 0.05)
        .with(Fault::AcceptThenReset, 0.02)
        .with(Fault::Result422, 0.02)
}

pub(super) fn settings(addr: SocketAddr, slots: u32, seed: u64, truth_log: PathBuf) -> SimulatorConfig {
    let latency: BTreeMap<String, Latency> = MODELS
        .iter()
        .map(|(model, min, max)| {
            let latency = Latency { min: Duration::from_millis(*min), max: Duration::from_millis(*max) };
            ((*model).to_owned(), latency)
        })
        .collect();
    SimulatorConfig {
        addr,
        seed,
        slots,
        latency,
        time_scale: TIME_SCALE,
        faults: rates(),
        history_lag: HISTORY_LAG,
        truth_log: Some(truth_log),
        ..SimulatorConfig::default()
    }
}

/// The jobs, by their numbers from 1, whose POST is certain to be cut, so that a small demo has some too.
pub(super) fn certain_cuts(jobs: u32) -> [u32; 3] {
    [jobs / 5 + 1, jobs / 2 + 1, jobs * 4 / 5 + 1]
}

/// Cuts the POSTs of [`certain_cuts`]. The first of these jobs loses every callback as well, so that only fal's history can
/// tell of it.
pub(super) fn script(simulator: &Simulator, jobs: u32) {
    let cut = rates().with(Fault::AcceptThenReset, 1.0).with(Fault::Result422, 0.0);
    let silent = cut.clone().with(Fault::CallbackAllLost, 1.0);
    for (number, faults) in certain_cuts(jobs).into_iter().zip([silent, cut.clone(), cut]) {
        let script = Script { faults: Some(faults), times: Some(1), ..Script::default() };
        simulator.script_prompt(super::work::mark(number, jobs), script);
    }
}
