//! schemathesis reads the description and calls what it says, with the key of one project, beside another.

use super::{document::operations, scene::Scene};
use serde_json::json;
use std::{collections::BTreeMap, path::Path};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_that_the_description_does_not_say() {
    let scene = Scene::set().await;
    assert!(operations(&scene.world).await.len() > 15);
    let canaries: Vec<&str> = scene.canaries().collect();
    let foreign = BTreeMap::from([
        ("/v1/jobs/", &scene.jobs),
        ("/v1/callbacks/", &scene.callbacks),
        ("/v1/events/", &scene.events),
    ]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/schemathesis.sh");
    let output = Command::new(script)
        .arg(scene.world.server().api())
        .env("FALCONER_API_KEY", scene.strangers.trim_start_matches("Bearer "))
        .env("FALCONER_OWN_IDS", json!({ "/v1/jobs/": scene.foreign_jobs }).to_string())
        .env("FALCONER_FOREIGN", json!(foreign).to_string())
        .env("FALCONER_CANARIES", json!(canaries).to_string())
        .output()
        .await
        .expect("the script runs");

    let text = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{complaints}");
    assert!(text.contains("passed"), "{text}");
    scene.world.check().await;
}
