//! Readers as people write them: the consumer of the page on events, and the command line.

use super::page;
use serde_json::Value;
use std::{collections::BTreeSet, path::Path, process::Stdio};
use testkit::{World, wait};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// The consumer that the page on events shows.
fn documented() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    let text = std::fs::read_to_string(page).expect("the page is there");
    let (_, code) = text.split_once("```python\n").expect("the page shows a consumer");
    code.split("```").next().unwrap_or_default().to_owned()
}

fn start(world: &World, code: &str) -> Child {
    let mut python = Command::new("python3");
    python.args(["-c", code]).env("FALCONER_URL", world.server().api()).env("FALCONER_KEY", world.api_key());
    python.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("python3 is there")
}

/// Reads lines until `enough`, which is asked after each. The last word of a line is a job.
async fn jobs_told(child: &mut Child, told: &mut Vec<String>, enough: impl Fn(&[String]) -> bool) {
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    while !enough(told) {
        let line = tokio::time::timeout(wait::PATIENCE, lines.next_line()).await.expect("an event comes in time");
        let line = line.expect("lines can be read").expect("the consumer goes on");
        told.push(line.split(' ').next_back().unwrap_or_default().to_owned());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consumer_of_the_page_survives_a_kill() {
    let world = World::start().await;
    let jobs = world.submit_many(30, "an owl").await;
    let wanted: BTreeSet<String> = jobs.iter().map(ToString::to_string).collect();
    let (code, mut told) = (documented(), Vec::new());

    let mut first = start(&world, &code);
    jobs_told(&mut first, &mut told, |told| told.len() >= 5).await;
    first.kill().await.unwrap();
    let mut second = start(&world, &code);
    jobs_told(&mut second, &mut told, |told| told.iter().cloned().collect::<BTreeSet<_>>() == wanted).await;
    second.kill().await.unwrap();

    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_follows_and_acknowledges() {
    let world = World::start().await;
    let jobs = world.submit_many(3, "an owl").await;
    world.wait_all_succeeded(&jobs).await;
    let run = async |args: &[&str]| {
        let ran = world.server().command(world.api_key(), args).await.expect("the command runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("commands print text");
        (ran.status.success(), text(ran.stdout), text(ran.stderr))
    };

    let (done, told, complaint) = run(&["events", "tail", "--consumer", "a", "--count", "3", "-o", "jsonl"]).await;
    assert!(done, "{complaint}");
    let events: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(events.len(), 3, "{told}");
    assert_eq!(page(&world, world.api_key(), "consumer=a").await["items"], Value::Array(Vec::new()));

    let (done, told, complaint) = run(&["events", "list", "--consumer", "b", "-o", "json"]).await;
    assert!(done, "{complaint}");
    let listed: Value = serde_json::from_str(&told).expect("one document");
    assert_eq!(listed["items"], Value::Array(events));
    let cursor = listed["next_cursor"].as_str().expect("where the list ends");
    let ack = ["events", "ack", "--consumer", "b", cursor];
    let (done, told, _) = run(&[&ack[..], &["--dry-run"]].concat()).await;
    assert!(done && told.contains("/v1/events/ack"), "{told}");
    let (done, _, complaint) = run(&ack).await;
    assert!(done, "{complaint}");
    let (done, told, _) = run(&["events", "list", "--consumer", "b"]).await;
    assert!(done && told.is_empty(), "{told}");
    let (done, _, complaint) = run(&["events", "ack", "--consumer", "a", cursor]).await;
    assert!(!done && complaint.contains("cursor"), "{complaint}");
    world.drain_and_check().await;
}
