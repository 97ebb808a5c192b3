//! A process that is stopped right before its POST, as by SIGSTOP, and wakes when its lease is over.

use failpoints::Point;
use serde_json::json;
use std::time::Duration;
use testkit::{JobId, World, wait};

/// One of two servers sleeps over its lease before its first POST, and the other has called the attempt unknown.
struct Asleep {
    world: World,
    job: JobId,
}

impl Asleep {
    async fn start(on_unknown: &str) -> Self {
        let mut world = World::builder()
            .setting("FALCONER_SUBMITTER__SUBMIT_TIMEOUT", "1s")
            .setting("FALCONER_SHUTDOWN__DRAIN", "2s")
            .setting("FALCONER_SUBMITTER__LEASE", "3s")
            .start()
            .await;
        let stops = format!("{}:1:stop", Point::SubmitBeforePost.name());
        world.kill_9().await;
        world.server_mut().set(failpoints::POINT_VARIABLE, &stops);
        world.restart().await;
        // A job for later: its caller has the answer before the process falls asleep.
        let in_a_minute = "select to_json(falconer.now() + interval '1 minute') #>> '{}'";
        let run_at: String = sqlx::query_scalar(in_a_minute).fetch_one(world.db()).await.expect("the database answers");
        let job = world.submit(json!({ "run_at": run_at, "on_unknown": on_unknown })).await;
        world.advance_clock(Duration::from_secs(61)).await;
        let mut asleep = Self { world, job };
        asleep.until_attempt_is("submitting").await;
        asleep.world.second_server().await;
        asleep.until_attempt_is("unknown").await;
        asleep
    }

    /// Wakes the sleeper, and returns when it has told what became of its POST.
    async fn wake(&self) {
        self.world.server().signal("CONT").await.expect("the server is there");
        wait::until("the sleeper to give its POST up", async || {
            let log = self.world.server().log_tail(20);
            if log.contains(r#""outcome":"not_sent""#) { Ok(()) } else { Err(log) }
        })
        .await;
    }

    async fn until_attempt_is(&self, wished: &str) {
        wait::until(&format!("the attempt to be {wished}"), async || {
            let query = "select state from falconer.attempts where job_id = $1 and number = 1";
            let query = sqlx::query_scalar(query).bind(self.job);
            let state: Option<String> = query.fetch_optional(self.world.db()).await.expect("the database answers");
            if state.as_deref() == Some(wished) { Ok(()) } else { Err(state) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_wakes_after_its_lease_posts_nothing() {
    let asleep = Asleep::start("patient").await;
    assert_eq!(asleep.world.sim().submissions(), 0);

    asleep.wake().await;

    let Asleep { world, job } = asleep;
    assert_eq!(world.sim().submissions(), 0, "it was not its to send");
    // It knows that nothing was sent, and has lost the right to say so: the attempt waits for its time.
    assert_eq!(world.job(job).await["waiting"]["reason"], "unknown_outcome");
    world.advance_clock(Duration::from_hours(4)).await;
    world.wait_ended_as(job, "succeeded").await;
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_wakes_when_another_has_sent_the_job_pays_for_nothing() {
    let asleep = Asleep::start("impatient").await;
    let sent = asleep.world.sim().wait_until(|view| view.counts.completed == 1).await;
    sent.expect("the other server goes ahead");

    asleep.wake().await;

    let Asleep { world, job } = asleep;
    wait::until("the job to succeed", async || {
        let query = sqlx::query_scalar("select state from falconer.jobs where id = $1").bind(job);
        let state: String = query.fetch_one(world.db()).await.expect("the database answers");
        if state == "succeeded" { Ok(()) } else { Err(state) }
    })
    .await;
    assert_eq!(world.sim().submissions(), 1);
    world.drain_and_check().await;
}
