//! The commands by which an operator looks and decides.

use super::{audited, foreign_run, lost, wait_orphans, wait_unknown};
use crate::orphans::MODEL;
use serde_json::{Value, json};
use simulator::HistoryMode;
use std::time::Duration;
use testkit::World;

async fn run(world: &World, key: &str, args: &[&str]) -> (bool, String, String) {
    let ran = world.server().command(key, args).await.expect("the command runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("commands print text");
    (ran.status.success(), text(ran.stdout), text(ran.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_lists_and_dismisses_orphan_charges() {
    let world = audited().start().await;
    let request = foreign_run(&world, MODEL).await;
    let key = world.operator_key().await;
    wait_orphans(&world, &key, "state=open", 1).await;

    let (done, listed, complaint) = run(&world, &key, &["orphans", "list", "--state", "open", "-o", "jsonl"]).await;
    assert!(done, "{complaint}");
    let listed: Value = serde_json::from_str(listed.trim()).expect("one line of JSON");
    assert_eq!(listed["request_id"], request.as_str());

    let dismiss = ["orphans", "dismiss", &request, "--reason", "a run by hand"];
    let (done, told, _) = run(&world, &key, &[&dismiss[..], &["--dry-run"]].concat()).await;
    assert!(done && told.contains("a run by hand"), "{told}");
    wait_orphans(&world, &key, "state=open", 1).await;
    let (done, told, complaint) = run(&world, &key, &dismiss).await;
    assert!(done && told.contains("dismissed"), "{told}{complaint}");
    wait_orphans(&world, &key, "state=resolved", 1).await;

    let (done, _, complaint) = run(&world, &key, &dismiss).await;
    assert!(!done && complaint.contains("dismissed already"), "{complaint}");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_resolves_jobs_that_wait_for_a_person() {
    let world = World::builder()
        .sim(|sim| (sim.history_lag, sim.billing) = (Duration::from_hours(1), HistoryMode::Off))
        .start()
        .await;
    let key = world.operator_key().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        world.sim().script_next(lost());
        let id = world.submit(json!({ "on_unknown": "operator" })).await;
        wait_unknown(&world, id).await;
        ids.push(id.to_string());
    }

    let (done, _, complaint) = run(&world, &key, &["jobs", "resolve", &ids[0]]).await;
    assert!(!done && complaint.contains("--resubmit"), "one of the two is wanted: {complaint}");
    let (done, told, complaint) = run(&world, &key, &["jobs", "resolve", &ids[0], "--give-up"]).await;
    assert!(done && told.contains("abandoned"), "{told}{complaint}");
    let (done, _, complaint) = run(&world, &key, &["jobs", "resolve", &ids[1], "--resubmit"]).await;
    assert!(done, "{complaint}");

    world.wait_ended_as(ids[0].parse().expect("an id"), "failed").await;
    world.wait_ended_as(ids[1].parse().expect("an id"), "succeeded").await;
    let (done, _, complaint) = run(&world, &key, &["jobs", "resolve", &ids[1], "--give-up"]).await;
    assert!(!done && complaint.contains("ended"), "{complaint}");
    world.drain_and_check().await;
}
