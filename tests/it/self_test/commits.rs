//! Connections to the database that end at COMMIT, with a caller or fal waiting for the answer.

use super::{Gauntlet, gauntlet::builder};
use bytes::Bytes;
use failpoints::Bug;
use reqwest::Method;
use simulator::Script;
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;
use testkit::{Finding, World};

/// Whoever commits a new job or a callback waits while somebody holds the gate.
const GATE: &str = "
    create function falconer.gate() returns trigger language plpgsql
        as $$ begin perform pg_advisory_xact_lock_shared(7); return null; end $$;
    create constraint trigger gate after insert on falconer.jobs deferrable initially deferred
        for each row execute function falconer.gate();
    create constraint trigger gate after insert on falconer.callbacks deferrable initially deferred
        for each row execute function falconer.gate()";
const WAITING: &str = "select count(*) from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and not l.granted and a.datname = current_database()";
const CUT_OFF: &str = "select count(pg_terminate_backend(l.pid)) from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and not l.granted and a.datname = current_database()";
const JOB: &[u8] = br#"{"model": "fal-ai/flux/schnell", "input": {"prompt": "a picture that is cut off"}}"#;

pub(super) async fn run(bug: Option<Bug>) -> Vec<Finding> {
    // The first look is far off, so that nobody but a callback commits anything meanwhile.
    let mut gauntlet = Gauntlet::start(builder(bug).setting("FALCONER_RECONCILER__FIRST_LOOK", "1m")).await;
    sqlx::raw_sql(GATE).execute(gauntlet.world.db()).await.expect("the gate can be built");
    let mut gate = Gate::open(&gauntlet.world).await;

    gauntlet.world.sim().script_prompt("the one", Script { hold: true, ..Script::default() });
    let job = gauntlet.submit(&["the one"]).await["the one"];
    gauntlet.bound(job).await;

    // A caller waits for the commit of its job, and the connection is cut.
    gate.shut().await;
    let caller = gauntlet.world.try_call(0, Method::POST, "/v1/jobs", &[], Bytes::from_static(JOB));
    let cut = async {
        gauntlet.rows(|count| count > 0, WAITING).await;
        gate.cut_off_and_open(&gauntlet.world).await;
    };
    let (answered, ()) = futures::join!(caller, cut);
    drop(answered);

    // fal waits for the commit of its callback; the connection is cut and the process dies.
    gate.shut().await;
    gauntlet.world.sim().release_held();
    gauntlet.rows(|count| count > 0, WAITING).await;
    let told = |view: &simulator::View| view.counts.webhooks_delivered > 0;
    // Who answers before the commit has answered by now; nobody else does.
    let _ = gauntlet.world.sim().wait_until_for(Duration::from_millis(100), told).await;
    gauntlet.world.kill_9().await;
    gate.cut_off_and_open(&gauntlet.world).await;
    gauntlet.world.restart().await;
    let tried = |view: &simulator::View| {
        view.requests.iter().any(|request| request.webhook_tries.iter().any(simulator::TryView::delivered))
    };
    let _ = gauntlet.world.sim().wait_until_for(Duration::from_secs(4), tried).await;
    gauntlet.world.advance_clock(Duration::from_mins(2)).await;
    gauntlet.drained().await
}

/// Holds up commits from a connection of its own.
struct Gate(PgConnection);

impl Gate {
    async fn open(world: &World) -> Self {
        let options = world.db().connect_options();
        Self(PgConnection::connect_with(&options).await.expect("the database answers"))
    }

    async fn shut(&mut self) {
        sqlx::query("select pg_advisory_lock(7)").execute(&mut self.0).await.expect("the database answers");
    }

    /// Ends the connections that wait, so that what they were about to commit is undone.
    async fn cut_off_and_open(&mut self, world: &World) {
        let _: i64 = sqlx::query_scalar(CUT_OFF).fetch_one(world.db()).await.expect("the database answers");
        sqlx::query("select pg_advisory_unlock(7)").execute(&mut self.0).await.expect("the database answers");
    }
}
