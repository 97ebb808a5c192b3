//! `falconer jobs tail`.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use super::{Said, falconer};
use serde_json::Value;
use std::{collections::BTreeMap, process::Stdio};
use testkit::{World, wait};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// A tail that has begun, and its lines.
struct Tailing {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Tailing {
    /// Starts one, and waits until it follows.
    async fn start(world: &World, args: &[&str]) -> Self {
        let mut command = falconer(world, &[&["jobs", "tail", "-o", "jsonl"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        wait::until("the tail to follow", async || match consumers(world).await {
            0 => Err("no consumer yet"),
            _ => Ok(()),
        })
        .await;
        Self { child, lines }
    }

    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(wait::PATIENCE, self.lines.next_line()).await.expect("a line comes");
        serde_json::from_str(&line.unwrap().expect("the tail goes on")).unwrap()
    }

    /// The end states by job, up to `count` of them; panics where a job ends twice.
    async fn ends(&mut self, count: usize) -> BTreeMap<String, String> {
        let mut ends = BTreeMap::new();
        while ends.len() < count {
            let job = self.next().await;
            let [id, state] = ["id", "state"].map(|name| job[name].as_str().unwrap().to_owned());
            assert!(!ends.contains_key(&id), "a line after the end of {id}: {state}");
            if !job["finished_at"].is_null() {
                ends.insert(id, state);
            }
        }
        ends
    }

    /// Interrupts it as Ctrl-C does.
    async fn interrupt(self) -> Said {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &pid]).status().await.unwrap().success());
        Said::of(self.child.wait_with_output().await.unwrap())
    }
}

async fn consumers(world: &World) -> usize {
    world.get("/v1/consumers").await.json()["items"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_another_caller_is_seen_to_end_and_the_tail_leaves_nothing_behind() {
    let world = World::start().await;
    let before = world.submit_prompt("before").await;
    world.wait_ended_as(before, "succeeded").await;
    let mut tail = Tailing::start(&world, &["--tag", "mine", "--state", "succeeded"]).await;

    world.submit_prompt("not mine").await;
    let id = world.submit(serde_json::json!({ "tags": ["mine"], "metadata": { "n": 1 } })).await;
    let job = tail.next().await;

    assert_eq!((&job["id"], &job["state"]), (&id.to_string().into(), &"succeeded".into()), "{job}");
    assert!(job.get("result").is_none(), "a job as lists tell of it: {job}");
    let said = tail.interrupt().await;
    assert_eq!(said.code, 130, "{said:#?}");
    assert_eq!(consumers(&world).await, 0);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_loses_no_line_and_doubles_none() {
    let mut world = World::start().await;
    let mut tail = Tailing::start(&world, &[]).await;

    let mut expected = world.submit_many(20, "first").await;
    let mut ends = tail.ends(5).await;
    world.kill_9().await;
    world.restart().await;
    expected.extend(world.submit_many(20, "then").await);
    for (id, state) in tail.ends(35).await {
        assert!(ends.insert(id.clone(), state).is_none(), "{id} ended twice");
    }

    let told: Vec<String> = ends.keys().cloned().collect();
    let mut expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(told, expected);
    assert!(ends.values().all(|state| state == "succeeded"), "{ends:#?}");
    assert_eq!(tail.interrupt().await.code, 130);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_and_what_runs_is_told_too() {
    let world = World::builder().slots(2).start().await;
    let mut tail = Tailing::start(&world, &["--state", "scheduled,held,queued"]).await;

    // The first look is only where the next one begins, so a job is seen that came after it.
    let id = world.submit(serde_json::json!({ "run_at": "2090-01-01T00:00:00Z" })).await;
    let job = tail.next().await;

    assert_eq!((&job["id"], &job["state"]), (&id.to_string().into(), &"scheduled".into()), "{job}");
    world.cancel(id).await;
    assert_eq!(tail.interrupt().await.code, 130);
    world.drain_and_check().await;
}
