//! Processes that die or sleep with an attempt in their hands, and a fal that falls silent.

use super::{
    Gauntlet,
    gauntlet::{PATIENCE, builder},
};
use failpoints::Bug;
use serde_json::json;
use simulator::{Fault, Faults, Script};
use std::time::Duration;
use testkit::{Finding, truth, wait};

/// A process is killed after fal took its POST and before it was told so. Every callback is lost.
pub(super) async fn killed(bug: Option<Bug>) -> Vec<Finding> {
    let mut gauntlet = Gauntlet::start(builder(bug)).await;
    let faults = Faults {
        submit_slow: 1.0,
        submit_slow_by: Duration::from_mins(1),
        callback_all_lost: 1.0,
        ..Faults::default()
    };
    gauntlet.world.sim().script_next(Script { faults: Some(faults), ..Script::default() });
    gauntlet.world.submit_prompt("an owl").await;
    gauntlet.world.sim().wait_until(|view| view.counts.completed == 1).await.expect("fal runs it");

    gauntlet.world.kill_9().await;
    gauntlet.world.restart().await;
    // Whoever was submitting it loses the lease after 30 s.
    gauntlet.world.advance_clock(Duration::from_secs(31)).await;
    gauntlet.drained().await
}

/// A process is stopped after it has claimed an attempt and before it sends it, until it has lost the lease, and another has seen to the attempt.
pub(super) async fn paused(bug: Option<Bug>) -> Vec<Finding> {
    let world = builder(bug)
        .setting("FALCONER_SUBMITTER__SUBMIT_TIMEOUT", "1s")
        .setting("FALCONER_SHUTDOWN__DRAIN", "2s")
        .setting("FALCONER_SUBMITTER__LEASE", "3s")
        .setting(failpoints::POINT_VARIABLE, "claim.after_commit:1:stop");
    let mut gauntlet = Gauntlet::start(world).await;
    // A little later, so that the answer to the caller is not stopped with the process.
    let soon = "select to_char((falconer.now() + interval '1 second') at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";
    let soon: String = sqlx::query_scalar(soon).fetch_one(gauntlet.world.db()).await.expect("the database answers");
    gauntlet.world.submit(json!({ "run_at": soon })).await;
    gauntlet.rows(|count| count == 1, "select count(*) from falconer.attempts where state = 'submitting'").await;
    gauntlet.world.second_server().await;
    gauntlet.rows(|count| count == 1, "select count(*) from falconer.attempts where state = 'unknown'").await;

    gauntlet.world.server().signal("CONT").await.expect("the first server runs");
    wait::until("the first server to wake", async || {
        if gauntlet.world.server().log().contains("was sent: ") { Ok(()) } else { Err("silence") }
    })
    .await;
    let late = truth::sent_past_lease(gauntlet.world.db(), gauntlet.world.sim()).await.expect("the leases can be read");
    gauntlet.note(late.into_iter().map(Finding::from));
    gauntlet.undrained().await
}

/// fal's callback never comes, and nobody but the reconciler can notice.
pub(super) async fn silent(bug: Option<Bug>) -> Vec<Finding> {
    let gauntlet = Gauntlet::start(builder(bug).faults(Faults::only(Fault::CallbackAllLost))).await;
    gauntlet.submit(&["an owl"]).await;
    gauntlet.world.sim().wait_until(|view| view.counts.completed == 1).await.expect("fal runs it");
    gauntlet.world.advance_clock(Duration::from_mins(3)).await;
    // Nothing but a look brings the end, so that nobody waits long for one that is never made.
    let patience = bug.map_or(PATIENCE, |_| Duration::from_secs(1));
    gauntlet.drained_within(patience).await
}
