//! Everything goes wrong at once, and the checks decide.

use serde_json::json;
use simulator::Faults;
use std::time::Duration;
use stories::storm::{self, History, Plan, Policy};
use testkit::{World, wait};

const JOBS: usize = 80;

/// A bit of everything that needs no person. Conflicting callbacks are left out: after one that was lost or unusable, a
/// contradicting one is as genuine as any.
fn weather() -> Faults {
    Faults {
        submit_429: 0.03,
        submit_5xx: 0.03,
        accept_then_reset: 0.05,
        accept_then_502: 0.05,
        status_5xx: 0.05,
        result_5xx_runner: 0.05,
        runner_retried: 0.1,
        callback_try_lost: 0.3,
        callback_all_lost: 0.1,
        callback_late: 0.05,
        callback_late_by: Duration::from_secs(1),
        callback_doubled: 0.1,
        callback_reordered: 0.05,
        callback_before_answer: 0.05,
        callback_stale: 0.05,
        callback_wrong_user: 0.05,
        callback_tampered: 0.05,
        callback_null_payload: 0.05,
        callback_hostile_json: 0.05,
        ..Faults::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_all_weathers_every_job_ends_once_with_what_fal_made_and_what_it_cost() {
    bad_day(1).await;
}

/// The short form of `make storm`, which explains itself in the module `stories::storm`.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_are_killed_stopped_and_cut_off_lose_nothing_and_double_nothing() {
    let length = Duration::from_secs(20);
    let plan = Plan { seed: 1, length, rate: 12.0, policy: Policy::Mixed, history: History::On };

    let report = storm::run(plan).await.expect("the storm comes to its end");

    assert!(report.failures.is_empty(), "{:#?}\n{}", report.failures, report.table());
}

/// One bad day; equal seeds choose equal faults.
async fn bad_day(seed: u64) {
    let mut world = World::builder()
        .sim(|sim| sim.seed = seed)
        .slots(20)
        .faults(weather())
        .setting("FALCONER_SUBMITTER__SUBMIT_TIMEOUT", "1s")
        .setting("FALCONER_SHUTDOWN__DRAIN", "2s")
        .setting("FALCONER_SUBMITTER__LEASE", "3s")
        .setting("FALCONER_RECONCILER__POLLS_PER_SECOND_MAX", "500")
        .start()
        .await;
    let job = |number: usize| {
        let policy = if number.is_multiple_of(2) { "patient" } else { "impatient" };
        json!({ "model": "fal-ai/flux/schnell", "input": { "prompt": format!("owl {number}") }, "on_unknown": policy,
            "max_attempts": 20 })
    };
    let jobs: Vec<_> = (0..JOBS).map(job).collect();
    assert_eq!(world.post("/v1/jobs/batch", &json!(jobs)).await.status, 200);

    for ended in [JOBS / 4, JOBS / 2] {
        world.sim().wait_until(|view| view.counts.completed >= ended).await.expect("fal gets on");
        world.kill_9().await;
        world.restart().await;
    }
    settled(&world).await;
    // What a killed process had claimed and never sent is nowhere to be found: a patient job waits for it.
    while count(&world, "select count(*) from falconer.jobs where finished_at is null").await > 0 {
        world.advance_clock(Duration::from_hours(4)).await;
        settled(&world).await;
    }

    let query = "select count(*) from falconer.jobs where state = 'succeeded'";
    assert_eq!(count(&world, query).await, JOBS);
    world.drain_and_check().await;
}

/// Waits until everything has ended or is unknown with time left to find it. Where all that is left waits for its next
/// look, as what a dead process had claimed for one does, time is moved there.
async fn settled(world: &World) {
    let moving = "from falconer.jobs j where j.finished_at is null and not exists (
        select from falconer.attempts a
        where a.job_id = j.id and a.state = 'unknown' and a.abandon_at > falconer.now())";
    let patient = format!(
        "select count(*), count(*) filter (where exists (select from falconer.attempts a where a.job_id = j.id
             and a.next_look_at > falconer.now() + interval '2 seconds')) {moving}"
    );
    wait::until("what can be found to be found", async || {
        let query = sqlx::query_as(sqlx::AssertSqlSafe(patient.clone()));
        let (left, asleep): (i64, i64) = query.fetch_one(world.db()).await.expect("the database answers");
        if left > 0 && left == asleep {
            world.advance_clock(Duration::from_secs(80)).await;
        }
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
}

async fn count(world: &World, query: &'static str) -> usize {
    let rows: i64 = sqlx::query_scalar(query).fetch_one(world.db()).await.expect("the database answers");
    usize::try_from(rows).expect("a count is not negative")
}
