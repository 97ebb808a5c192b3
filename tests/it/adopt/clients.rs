//! fal's own clients with a minted URL, by the very text of `docs/adopt.md`, while Falconer is killed.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use super::{attempt, ledger, mint};
use serde_json::{Value, json};
use simulator::Script;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};
use testkit::{JobId, World};
use tokio::process::Command;

const PAGE: &str = include_str!("../../../docs/adopt.md");

#[tokio::test(flavor = "multi_thread")]
async fn a_python_caller_changes_one_line_and_falconer_is_killed_while_fal_works() {
    let mut world = world().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });
    let snippet = snippet("adopt.py");

    let (id, request) = told(&python(&world, &snippet, &[]).await);
    world.kill_9().await;
    world.sim().release_held();
    world.sim().wait_until(|view| view.requests[0].webhook_tries.len() >= 2).await.unwrap();
    world.restart().await;

    came_home_once(&world, id, &request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_caller_submits_while_falconer_is_dead() {
    let mut world = world().await;
    let (id, url) = mint(&world, json!({})).await;
    world.kill_9().await;

    let said = python(&world, SUBMIT, &[&url]).await;
    world.sim().wait_until(|view| view.requests.iter().any(|each| each.webhook_tries.len() >= 2)).await.unwrap();
    world.restart().await;

    came_home_once(&world, id, said.trim()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_javascript_caller_changes_one_line_and_falconer_is_killed_while_fal_works() {
    let mut world = world().await;
    world.sim().script_next(Script { hold: true, ..Script::default() });

    let (id, request) = told(&javascript(&world, &snippet("adopt.mjs")).await);
    world.kill_9().await;
    world.sim().release_held();
    world.sim().wait_until(|view| view.requests[0].webhook_tries.len() >= 2).await.unwrap();
    world.restart().await;

    came_home_once(&world, id, &request).await;
}

/// A caller that was given its URL before.
const SUBMIT: &str = r#"
import sys
import fal_client

handle = fal_client.submit("fal-ai/flux/schnell", arguments={"prompt": "an owl"}, webhook_url=sys.argv[1])
print(handle.request_id)
"#;

async fn world() -> World {
    World::builder().sim(|sim| sim.tls_addr = Some(SocketAddr::from(([127, 0, 0, 1], 0)))).start().await
}

async fn came_home_once(world: &World, id: JobId, request: &str) {
    let job = world.wait_ended_as(id, "succeeded").await;
    assert_eq!(job["request_id"], request);
    let result: Value = serde_json::from_slice(&world.result(id).await).unwrap();
    assert_eq!(result["prompt"], "an owl");
    assert_eq!(attempt(world, id).await, ("succeeded".to_owned(), Some("callback".to_owned())));
    assert_eq!(ledger(world, id).await, ["charge"]);
    let results: i64 = sqlx::query_scalar("select count(*) from falconer.results").fetch_one(world.db()).await.unwrap();
    assert_eq!((results, world.sim().submissions()), (1, 1));
    world.drain_and_check().await;
}

/// The code of the page that stands below the mark of this name.
fn snippet(name: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("<!-- tested: {name} -->\n```")).expect("the page marks it");
    let (_, code) = rest.split_once('\n').expect("a fence names its language");
    code.split_once("\n```").expect("the fence is closed").0.to_owned()
}

/// Job and request id, as a snippet prints them.
fn told(said: &str) -> (JobId, String) {
    let (id, request) = said.trim().split_once(' ').unwrap_or_else(|| panic!("not two ids: {said:?}"));
    (id.parse().expect("a job's id"), request.to_owned())
}

async fn python(world: &World, code: &str, args: &[&str]) -> String {
    let home = installed().await;
    let authority = home.join(format!("{}.pem", uuid::Uuid::new_v4()));
    std::fs::write(&authority, world.sim().tls_ca_pem().expect("TLS is on")).unwrap();
    let host = format!("127.0.0.1:{}", world.sim().tls_addr().expect("TLS is on").port());
    let mut command = Command::new(home.join("venv/bin/python"));
    command.arg("-c").arg(code).args(args).env("SSL_CERT_FILE", &authority);
    command.env("FAL_RUN_HOST", &host).env("FAL_QUEUE_RUN_HOST", &host);
    let said = run(world, command).await;
    std::fs::remove_file(&authority).unwrap();
    said
}

async fn javascript(world: &World, code: &str) -> String {
    let home = installed().await;
    // A module finds its dependencies beside itself, so it lies where they are installed.
    let script = home.join(format!("node/{}.mjs", uuid::Uuid::new_v4()));
    std::fs::write(&script, code).unwrap();
    let mut command = Command::new("node");
    command.arg("--import").arg(clients().join("hosts.mjs")).arg(&script);
    command.env("FAL_URL", format!("http://127.0.0.1:{}", world.sim().addr().port()));
    let said = run(world, command).await;
    std::fs::remove_file(&script).unwrap();
    said
}

async fn run(world: &World, mut command: Command) -> String {
    command.env("FALCONER_URL", world.server().api()).env("FALCONER_KEY", world.api_key()).env("FAL_KEY", "id:secret");
    let output = command.kill_on_drop(true).output().await.unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Installs the clients where they are missing, and returns where they are.
async fn installed() -> PathBuf {
    let status = Command::new(clients().join("install.sh")).status().await.unwrap();
    assert!(status.success(), "the clients cannot be installed");
    clients().join("../../target/clients").canonicalize().unwrap()
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}
