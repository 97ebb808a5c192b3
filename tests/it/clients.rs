//! fal's own clients, unchanged, against the simulator.

use simulator::{Simulator, SimulatorConfig};
use std::{net::SocketAddr, path::Path};
use testkit::{http_client, quick_runs};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn fals_python_and_javascript_clients_work_against_the_simulator() {
    // Installs the TLS provider that the simulator's own client needs.
    drop(http_client());
    let config = SimulatorConfig {
        tls_addr: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        latency: quick_runs(),
        slots: 10,
        ..SimulatorConfig::default()
    };
    let sim = Simulator::start(config).await.unwrap();
    let home = std::env::temp_dir().join(format!("falconer-clients-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&home).unwrap();
    let authority = home.join("ca.pem");
    std::fs::write(&authority, sim.tls_ca_pem().unwrap()).unwrap();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/run.sh");
    let ports = [sim.addr().port(), sim.tls_addr().unwrap().port()].map(|port| port.to_string());
    let output = Command::new(script).args(ports).arg(&authority).output().await.unwrap();

    let text = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{complaints}");
    assert!(text.contains("python fal-client") && text.contains("javascript @fal-ai/client"), "{text}");
    std::fs::remove_dir_all(&home).unwrap();
    sim.shutdown().await;
}
