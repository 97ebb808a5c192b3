//! How soon work moves again after a death, and how quiet everybody is until then.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use simulator::{Faults, Script};
use sqlx::AssertSqlSafe;
use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};
use testkit::{Server, World, wait};
use uuid::Uuid;

/// What a server is sending when it is killed.
const BUSY: usize = 150;
const LEASE: Duration = Duration::from_secs(12);
/// Beyond the lease, for a killed server's work to move; and after a restart of Postgres, for the first claim.
const GRACE: Duration = Duration::from_secs(5);
const OUTAGE: Duration = Duration::from_secs(15);

/// T4: everything that a killed server was sending is taken up by the other one.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_was_sending_moves_within_its_lease_and_five_seconds() {
    let mut world = World::builder()
        .slots(200)
        // Long enough for all that happens before the kill.
        .setting("FALCONER_SUBMITTER__SUBMIT_TIMEOUT", "10s")
        .setting("FALCONER_SHUTDOWN__DRAIN", "11s")
        .setting("FALCONER_SUBMITTER__LEASE", "12s")
        // What asks fal nothing waits for no pace.
        .setting("FALCONER_RECONCILER__POLLS_PER_SECOND_MAX", "10")
        .start()
        .await;
    // fal takes every request and answers too late; the runs are held, so that no callback moves anything.
    let slow = Faults { submit_slow: 1.0, submit_slow_by: Duration::from_mins(1), ..Faults::default() };
    world.sim().script_prompt("owl", Script { hold: true, faults: Some(slow), ..Script::default() });
    world.submit_many(BUSY, "owl").await;
    // What never reached fal would wait for hours, as nobody can tell.
    world.sim().wait_until(|view| view.counts.accepted == BUSY).await.unwrap();
    // Only the first server was there to take them.
    world.second_server().await;
    let killed = Instant::now();
    world.kill_9().await;
    let mut held = sending(&world).await;
    assert_eq!(held.len(), BUSY, "all of them were being sent");
    let mut moved = Vec::new();
    while !held.is_empty() && killed.elapsed() < wait::PATIENCE {
        let left = sending(&world).await;
        moved.extend(held.difference(&left).map(|_| killed.elapsed()));
        held = left;
        wait::let_pass(Duration::from_millis(10)).await;
    }

    assert!(held.is_empty(), "{} have not moved", held.len());
    let p99 = percentile(&mut moved, 99);
    eprintln!("{} attempts of a killed server moved: p50 {:?}, p99 {p99:?}", moved.len(), percentile(&mut moved, 50));
    assert!(p99 <= LEASE + GRACE, "{p99:?}");
    // Everything comes home, although fal's answers were lost.
    world.server_mut().set("FALCONER_RECONCILER__POLLS_PER_SECOND_MAX", "500");
    world.restart().await;
    world.sim().release_held();
    world.drain_and_check().await;
}

/// What was claimed and not recorded.
async fn sending(world: &World) -> HashSet<Uuid> {
    let query = "select id from falconer.attempts where state = 'submitting'";
    sqlx::query_scalar(query).fetch_all(world.db()).await.unwrap().into_iter().collect()
}

/// The looks of a killed server, too.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_was_looking_at_is_looked_at_within_its_lease_and_five_seconds() {
    let mut world = World::builder()
        .setting("FALCONER_SUBMITTER__SUBMIT_TIMEOUT", "1s")
        .setting("FALCONER_SHUTDOWN__DRAIN", "2s")
        .setting("FALCONER_SUBMITTER__LEASE", "3s")
        .start()
        .await;
    world.sim().script_prompt("owl", Script { hold: true, faults: Some(lost_callbacks()), ..Script::default() });
    let ids = world.submit_many(10, "owl").await;
    for id in &ids {
        world.wait_job(*id, "to be sent", |job| job["request_id"].is_string()).await;
    }
    world.second_server().await;
    world.kill_9().await;
    // As it stands when the looker died right after its claim.
    let query = "update falconer.attempts set next_look_at = falconer.now() + interval '3 s', looks = looks + 1
                 where state = 'submitted'";
    sqlx::raw_sql(query).execute(world.db()).await.unwrap();
    let killed = Instant::now();
    world.sim().release_held();

    let query = "select count(*) from falconer.jobs where finished_at is null";
    wait::until("every job to end", async || match count(&world, query).await {
        0 => Ok(()),
        open => Err(open),
    })
    .await;

    assert!(killed.elapsed() <= Duration::from_secs(3) + GRACE, "{:?}", killed.elapsed());
    world.restart().await;
    world.drain_and_check().await;
}

/// T5, F86: a crash under load, then an outage. Nobody does anything about it.
#[tokio::test(flavor = "multi_thread")]
async fn after_postgres_was_away_the_first_claim_comes_within_five_seconds_and_nobody_floods_the_log() {
    let mut world = World::builder().own_postgres().slots(10).start().await;
    world.second_server().await;
    world.submit_many(400, "an owl").await;
    world.sim().wait_until(|view| view.counts.completed >= 20).await.unwrap();

    let crashed = Marks::of(&world);
    world.postgres().restart_immediate().await.unwrap();
    let first = first_claim_after_accept(&world).await;
    eprintln!("after a crash the first claim came {first:?} after Postgres was back");
    assert!(first <= GRACE, "{first:?}");
    crashed.none_flooded(&world);

    world.sim().wait_until(|view| view.counts.completed >= 60).await.unwrap();
    let away = Marks::of(&world);
    world.postgres().stop().await.unwrap();
    // Callers go on meanwhile, and so do the callbacks of what still runs.
    let began = Instant::now();
    while began.elapsed() < OUTAGE {
        for server in [0, 1] {
            let job = Bytes::from_static(b"{\"model\":\"a/b\",\"input\":{}}");
            let answer = world.try_call(server, Method::POST, "/v1/jobs", &[], job).await.unwrap();
            assert_eq!(answer.status, 503);
        }
    }
    world.postgres().start_again().await.unwrap();
    let first = first_claim_after_accept(&world).await;
    eprintln!("after {OUTAGE:?} away the first claim came {first:?} after Postgres was back");
    assert!(first <= GRACE, "{first:?}");
    away.none_flooded(&world);

    world.drain_and_check().await;
    assert_eq!(world.sim().submissions(), 400);
}

/// F86: SQLSTATE 25006, as after a failover to a standby.
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_takes_no_writes_for_a_while_costs_time_and_no_job() {
    let world = World::builder().own_postgres().slots(10).start().await;
    let ids = world.submit_many(300, "an owl").await;
    world.sim().wait_until(|view| view.counts.completed >= 20).await.unwrap();

    let marks = Marks::of(&world);
    read_only(&world, true).await;
    wait::until("the API to say that nothing can be written", async || {
        let job = json!({ "model": "a/b", "input": {} });
        match world.post("/v1/jobs", &job).await.status {
            503 => Ok(()),
            status => Err(status),
        }
    })
    .await;
    wait::let_pass(Duration::from_secs(4)).await;
    read_only(&world, false).await;
    let first = first_claim_after_accept(&world).await;

    assert!(first <= GRACE, "{first:?}");
    marks.none_flooded(&world);
    world.wait_all_succeeded(&ids).await;
    world.drain_and_check().await;
}

/// F85: connections die in the middle of whatever they were doing.
#[tokio::test(flavor = "multi_thread")]
async fn backends_that_are_terminated_again_and_again_lose_nothing() {
    let world = World::builder().slots(20).start().await;
    let ids = world.submit_many(300, "an owl").await;
    let mut ended = 0;
    for _ in 0..20 {
        wait::let_pass(Duration::from_millis(200)).await;
        let query = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                     where datname = current_database() and application_name like 'falconer %'";
        ended += count(&world, query).await;
    }

    world.wait_all_succeeded(&ids).await;
    assert!(ended > 40, "{ended} backends were terminated");
    assert_eq!(world.sim().submissions(), 300);
    world.drain_and_check().await;
}

fn lost_callbacks() -> Faults {
    Faults { callback_all_lost: 1.0, ..Faults::default() }
}

async fn read_only(world: &World, on: bool) {
    // The story's own session may always write.
    let sql = format!("set default_transaction_read_only = off; alter system set default_transaction_read_only = {on}");
    for statement in sql.split("; ").chain(["select pg_reload_conf()"]) {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(world.db()).await.unwrap();
    }
}

/// Waits until Postgres accepts connections, then for the next claim; returns the time between the two.
async fn first_claim_after_accept(world: &World) -> Duration {
    let query = "select count(*) from falconer.attempts";
    let before = wait::until("Postgres to answer", async || {
        sqlx::query_scalar::<_, i64>(query).fetch_one(world.db()).await.map_err(|error| error.to_string())
    })
    .await;
    let back = Instant::now();
    wait::until("the next claim", async || match sqlx::query_scalar::<_, i64>(query).fetch_one(world.db()).await {
        Ok(claims) if claims > before => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    back.elapsed()
}

/// Where the servers' logs ended at one moment.
struct Marks(Vec<usize>, Instant);

impl Marks {
    fn of(world: &World) -> Self {
        Self(world.servers().iter().map(|server| server.log().len()).collect(), Instant::now())
    }

    /// Since then, no loop of any server has written more than one warning a second. Lines that answer a caller, or tell
    /// what became of one job, are no loop's.
    fn none_flooded(&self, world: &World) {
        let seconds = usize::try_from(self.1.elapsed().as_secs()).unwrap() + 2;
        for (server, start) in world.servers().iter().zip(&self.0) {
            let loops = warnings(server, *start);
            eprintln!("{seconds} s: {loops:#?}");
            assert!(loops.values().all(|lines| *lines <= seconds), "{loops:#?} in {seconds} s");
        }
    }
}

/// Counts warnings and errors by what wrote them.
fn warnings(server: &Server, start: usize) -> BTreeMap<String, usize> {
    let mut loops = BTreeMap::new();
    for line in server.log()[start..].lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| json!({ "level": "ERROR", "message": line }));
        if matches!(line["level"].as_str(), Some("WARN" | "ERROR")) {
            let name = format!("{} {}: {}", line["target"], line["batch"], line["message"]);
            *loops.entry(name).or_default() += 1;
        }
    }
    loops
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

async fn count(world: &World, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(world.db()).await.unwrap()
}
