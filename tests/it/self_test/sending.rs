//! What is sent to fal and asked of it: lost answers, few slots, wishes to cancel; and callers who ask twice or
//! for what is not theirs.

use super::{
    Gauntlet,
    gauntlet::{self, builder},
};
use failpoints::Bug;
use reqwest::Method;
use simulator::{Fault, Faults, RequestView, Script};
use std::time::Duration;
use testkit::Finding;

const SLOTS: usize = 3;
const JOB: &str = r#"{"model": "fal-ai/flux/schnell", "input": {"prompt": "one picture, asked for twice"}}"#;

pub(super) async fn run(bug: Option<Bug>) -> Vec<Finding> {
    let world = builder(bug).slots(3).setting("FALCONER_SUBMITTER__IN_FLIGHT_MARGIN", "0");
    let mut gauntlet = Gauntlet::start(world).await;
    let sim = gauntlet.world.sim();
    let only = |fault| Script { faults: Some(Faults::only(fault)), ..Script::default() };
    sim.script_prompt("reset", only(Fault::AcceptThenReset));
    // Longer than a wish to cancel takes, so that fal has not ended it when it says that it will try.
    let stubborn = Faults::only(Fault::CancelIgnored).with(Fault::CallbackAllLost, 1.0);
    sim.script_prompt("stubborn", Script { faults: Some(stubborn), hold: true, ..Script::default() });

    let stubborn = gauntlet.submit(&["stubborn"]).await["stubborn"];
    let sent = gauntlet.bound(stubborn).await;
    gauntlet.expect("client: sent", sent, "the job that is to be canceled was never sent");
    gauntlet.submit(&["reset", "plain 1", "plain 2", "plain 3", "plain 4"]).await;
    asked_twice(&mut gauntlet).await;
    let key = gauntlet.world.stranger_key("strangers").await.expect("a key can be made");
    let asked = format!("Bearer {key}");
    let path = format!("/v1/jobs/{stubborn}");
    let seen = gauntlet.world.call(Method::GET, &path, &[("authorization", &asked)], "").await.status;
    gauntlet.expect(gauntlet::TENANCY, seen == 404, format!("a stranger asked for a job and got {seen}"));

    gauntlet.world.cancel(stubborn).await;
    let passed_on = |view: &simulator::View| view.requests.iter().any(|request| request.canceled);
    let passed_on = gauntlet.world.sim().wait_until_for(Duration::from_secs(4), passed_on).await.is_ok();
    gauntlet.world.sim().release_held();
    if passed_on {
        // A wish that was taken for an end is one before the run is over.
        let over = |view: &simulator::View| view.counts.in_progress == 0;
        let _ = gauntlet.world.sim().wait_until_for(Duration::from_secs(4), over).await;
    }
    let open = "select count(*) from falconer.jobs where finished_at is null";
    gauntlet.rows(|count| count == 0, open).await;
    let most = most_at_once(&gauntlet.world.sim().requests());
    gauntlet.expect(gauntlet::SLOTS, most <= SLOTS, format!("{most} at fal at once, with {SLOTS} slots"));
    gauntlet.drained().await
}

async fn asked_twice(gauntlet: &mut Gauntlet) {
    let headers = [("idempotency-key", "one")];
    let first = gauntlet.world.call(Method::POST, "/v1/jobs", &headers, JOB).await;
    let again = gauntlet.world.call(Method::POST, "/v1/jobs", &headers, JOB).await;
    let same = (first.status, again.status) == (202, 202) && first.job_id() == again.job_id();
    gauntlet.expect(gauntlet::ONE_JOB, same, "two requests under one idempotency key made two jobs");
}

/// The most requests that were at fal in one moment.
fn most_at_once(requests: &[RequestView]) -> usize {
    let at = |one: &RequestView| {
        let there = |other: &&RequestView| {
            other.posted_at <= one.posted_at && other.completed_at.is_none_or(|end| end > one.posted_at)
        };
        requests.iter().filter(there).count()
    };
    requests.iter().map(at).max().unwrap_or_default()
}
