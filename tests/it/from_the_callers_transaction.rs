//! Jobs that a backend makes in its own transaction, by the library and by SQL: nothing of them after a rollback, sent
//! within the poll floor after a commit, or at once where the caller asks for it. And the examples, as anybody runs them.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use domain::ProjectId;
use serde_json::{Value, json};
use std::{path::PathBuf, process::Stdio};
use submitter::{JobRequest, Submitter};
use testkit::{World, wait};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};
use uuid::Uuid;

/// The longest time between two looks of a server for work.
const POLL_FLOOR: f64 = 1.0;

/// How a job is made inside a transaction.
#[derive(Clone, Copy, Debug)]
enum By {
    Rust,
    Sql,
}

/// Makes a job in a transaction of its own, and returns its id and the database's time right after the commit.
async fn commit_one(world: &World, by: By, prompt: &str, at_once: bool) -> (Uuid, chrono::DateTime<chrono::Utc>) {
    let mut tx = world.db().begin().await.unwrap();
    let job = match by {
        By::Rust => {
            let submitter = Submitter::load(&mut tx).await.unwrap();
            let request = JobRequest::of("fal-ai/flux/schnell", &json!({ "prompt": prompt })).unwrap();
            let job = submitter.enqueue(&mut tx, ProjectId::DEFAULT, request).await.unwrap();
            if at_once {
                submitter.wake(&mut tx).await.unwrap();
            }
            job.0
        }
        By::Sql => {
            let sql = "select falconer.submit_job('default', 'fal-ai/flux/schnell', $1::text::json, notify => $2)";
            let input = json!({ "prompt": prompt }).to_string();
            sqlx::query_scalar(sql).bind(input).bind(at_once).fetch_one(&mut *tx).await.unwrap()
        }
    };
    // Nobody sees it, and so nobody sends it, however long the caller takes.
    assert_eq!(world.get(&format!("/v1/jobs/{job}")).await.status, 404);
    tx.commit().await.unwrap();
    (job, sqlx::query_scalar("select falconer.now()").fetch_one(world.db()).await.unwrap())
}

/// Seconds from a commit to the claim, for one job after the other.
async fn waits(world: &World, by: By, at_once: bool) -> Vec<f64> {
    let mut waits = Vec::new();
    for number in 0..7 {
        let (job, committed) = commit_one(world, by, &format!("{by:?} {at_once} {number}"), at_once).await;
        world.wait_ended_as(job, "succeeded").await;
        let claimed = "select extract(epoch from claimed_at - $2)::float8 from falconer.attempts where job_id = $1";
        waits.push(sqlx::query_scalar(claimed).bind(job).bind(committed).fetch_one(world.db()).await.unwrap());
    }
    waits.sort_by(f64::total_cmp);
    waits
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committed_job_is_sent_within_the_poll_floor_or_at_once_when_asked() {
    let world = World::start().await;

    for by in [By::Rust, By::Sql] {
        let (by_itself, at_once) = (waits(&world, by, false).await, waits(&world, by, true).await);

        println!("{by:?}: by itself after {by_itself:.3?} s, at once after {at_once:.3?} s");
        let (longest, middle) = (by_itself[by_itself.len() - 1], at_once[at_once.len() / 2]);
        assert!(longest < POLL_FLOOR + 0.5, "{by:?}: {by_itself:?}");
        assert!(middle < POLL_FLOOR / 4.0, "{by:?}: {at_once:?}");
        // The jobs before have just woken everybody, so one that asks for nothing waits for most of the floor.
        assert!(by_itself[by_itself.len() / 2] > 2.0 * middle, "{by:?}: {by_itself:?}, {at_once:?}");
    }
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_rolls_back_leaves_no_job_and_wakes_nobody() {
    let world = World::start().await;
    let submitter = Submitter::default();

    for number in 0..20 {
        let mut tx = world.db().begin().await.unwrap();
        let request = JobRequest::of("fal-ai/flux/schnell", &json!({ "prompt": "never" })).unwrap();
        submitter.enqueue_once(&mut tx, ProjectId::DEFAULT, &format!("rust {number}"), request).await.unwrap();
        submitter.wake(&mut tx).await.unwrap();
        let sql = "select falconer.submit_job('default', 'fal-ai/flux/schnell', '{\"prompt\": \"never\"}',
            idempotency_key => $1, unique_key => $1, unique_for => '1 day', notify => true)";
        sqlx::query(sql).bind(format!("sql {number}")).execute(&mut *tx).await.unwrap();
        if number % 2 == 0 {
            tx.rollback().await.unwrap();
        } else {
            // A caller that fails says nothing of a rollback.
            drop(tx);
        }
    }
    // This one is taken by the same keys, and whatever lay before it in the queue would have been sent before it.
    let sql = "select falconer.submit_job('default', 'fal-ai/flux/schnell', '{\"prompt\": \"the only one\"}',
        idempotency_key => 'sql 0', unique_key => 'sql 1', unique_for => '1 day', notify => true)";
    let job: Uuid = sqlx::query_scalar(sql).fetch_one(world.db()).await.unwrap();
    world.wait_ended_as(job, "succeeded").await;

    let left: Vec<i64> = sqlx::query_scalar(
        "select count(*) from falconer.jobs union all select count(*) from falconer.idempotency_keys
         union all select count(*) from falconer.unique_keys",
    )
    .fetch_all(world.db())
    .await
    .unwrap();
    assert_eq!(left, [1, 1, 1]);
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_settings_are_those_of_jobs_from_sql() {
    let world = World::builder().setting("FALCONER_SUBMITTER__ATTEMPTS_MAX", "3").start().await;
    let over_rest = world.submit_prompt("over REST").await;
    let (from_sql, _) = commit_one(&world, By::Sql, "from SQL", true).await;
    let (from_rust, _) = commit_one(&world, By::Rust, "from Rust", true).await;

    for job in [over_rest, from_sql, from_rust] {
        let job = world.wait_ended_as(job, "succeeded").await;
        assert_eq!(job["attempts_max"], 3, "{job:#}");
    }
    // The model of these jobs takes a seed, so each was sent with one of ours.
    let minted = world.sim().requests().iter().filter(|request| seed_of(&request.input).is_some()).count();
    assert_eq!(minted, 3);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_and_node_examples_bring_their_order_home() {
    let world = World::start().await;
    let installed = Command::new(root().join("tests/clients/install.sh")).output().await.unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let home = root().join("target/clients");
    // A module finds its dependencies beside itself, so it runs from where they are installed.
    let module = home.join("node/shop.mjs");
    std::fs::copy(root().join("examples/node/shop.mjs"), &module).unwrap();

    let mut python = Command::new(home.join("venv/bin/python"));
    python.arg(root().join("examples/python/shop.py"));
    let mut node = Command::new("node");
    node.arg(module);
    for (language, mut shop) in [("python", python), ("node", node)] {
        let output = with_surroundings(&mut shop, &world).arg(format!("a {language}")).output().await.unwrap();

        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{language}: {said}{}", String::from_utf8_lossy(&output.stderr));
        let line =
            |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{said}"));
        assert!(said.contains("declined: no order, no job"), "{said}");
        let job: Uuid = line("job ").parse().unwrap();
        assert_eq!(line("result ").as_bytes(), world.result(job).await);
        assert_eq!(jobs_tagged(&world, language).await, [job]);
    }
    assert_eq!(world.sim().submissions(), 2);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_example_brings_its_order_home() {
    let world = World::start().await;
    let (url, _shop) = open_shop(&world).await;
    let client = testkit::http_client();
    let order = async |number: i32, card: &str| {
        let order = json!({ "number": number, "prompt": "a crab", "card": card });
        client.post(format!("{url}/orders")).json(&order).send().await.unwrap()
    };

    let declined = order(1, "declined").await;
    let taken = order(1, "valid").await;
    let again = order(1, "valid").await;

    assert_eq!([declined.status().as_u16(), taken.status().as_u16(), again.status().as_u16()], [402, 201, 500]);
    let taken: Value = taken.json().await.unwrap();
    let job: Uuid = taken["job"].as_str().unwrap().parse().unwrap();
    let picture: Value = client.get(format!("{url}/orders/1")).send().await.unwrap().json().await.unwrap();
    assert_eq!(picture, serde_json::from_slice::<Value>(&world.result(job).await).unwrap());
    assert_eq!(jobs_tagged(&world, "rust").await, [job]);
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn seed_of(input: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(input).ok()?["seed"].as_u64()
}

/// What the examples are told of the world.
fn with_surroundings<'a>(shop: &'a mut Command, world: &World) -> &'a mut Command {
    shop.env("DATABASE_URL", world.database_url())
        .env("FALCONER_URL", world.server().api())
        .env("FALCONER_KEY", world.api_key())
        .kill_on_drop(true)
}

/// Starts the example in Rust, and returns its address. It closes with the child.
async fn open_shop(world: &World) -> (String, Child) {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("falconer-example-shop");
    let mut shop = Command::new(binary);
    with_surroundings(&mut shop, world).args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    let mut shop = shop.spawn().expect("`cargo build -p falconer-example-shop` comes first");
    let mut lines = BufReader::new(shop.stdout.take().unwrap()).lines();
    let said = tokio::time::timeout(wait::PATIENCE, lines.next_line()).await.expect("the shop opens in time");
    let said = said.unwrap().expect("the shop says where it is");
    (said.split(' ').next_back().unwrap().to_owned(), shop)
}

async fn jobs_tagged(world: &World, tag: &str) -> Vec<Uuid> {
    let jobs = "select id from falconer.jobs where tags @> array['shop', $1]";
    sqlx::query_scalar(jobs).bind(tag).fetch_all(world.db()).await.unwrap()
}
