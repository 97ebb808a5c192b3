//! Callbacks of every kind: forged, signed for another account, doubled, contradicting; and what is written for them.

use super::{
    Gauntlet,
    gauntlet::{self, builder},
};
use failpoints::Bug;
use simulator::{Fault, Faults, Outcome, Script};
use testkit::{Finding, error_body, ok_body};

// Long enough to be looked for in the logs, where no prompt may be.
const STRANGER: &str = "a picture for which another account signs first";
const TAMPERED: &str = "a picture whose first callback was changed";
const DOUBLED: &str = "a picture that is called for twice";
const BROKEN: &str = "a picture on which a runner of fal breaks";
const CONTRADICTED: &str = "a picture of which fal says two things";

pub(super) async fn run(bug: Option<Bug>) -> Vec<Finding> {
    let mut gauntlet = Gauntlet::start(builder(bug).slots(20)).await;
    let sim = gauntlet.world.sim();
    for prompt in [STRANGER, TAMPERED] {
        sim.script_prompt(prompt, Script { hold: true, ..Script::default() });
    }
    let doubled = Faults::only(Fault::CallbackDoubled);
    sim.script_prompt(DOUBLED, Script { faults: Some(doubled), ..Script::default() });
    let broken = Outcome::RunnerError("runner_server_error".to_owned());
    sim.script_prompt(BROKEN, Script { outcome: Some(broken), ..Script::default() });

    let jobs = gauntlet.submit(&[STRANGER, TAMPERED, DOUBLED, BROKEN, CONTRADICTED]).await;
    for prompt in [STRANGER, TAMPERED] {
        gauntlet.bound(jobs[prompt]).await;
        let status = forge(&gauntlet, prompt).await;
        gauntlet.expect(gauntlet::REFUSED, status == 401, format!("{prompt} was answered with {status}"));
    }
    gauntlet.world.sim().release_held();
    let ended = "select count(*) from falconer.jobs where finished_at is not null";
    if gauntlet.rows(|count| count == 5, ended).await {
        let request = gauntlet.world.sent(CONTRADICTED).await;
        gauntlet.world.forge(&request, error_body(&request.request_id, 422)).await;
    }
    gauntlet.drained().await
}

/// Brings a result that fal never made: signed by fal for another account, or put in place of what fal signed.
async fn forge(gauntlet: &Gauntlet, prompt: &str) -> u16 {
    let (sim, request) = (gauntlet.world.sim(), gauntlet.world.sent(prompt).await);
    let forged = ok_body(&request.request_id, br#"{"images": ["not yours"]}"#);
    let genuine = ok_body(&request.request_id, b"{}");
    let signed = sim.sign(&request.request_id, &genuine);
    let headers = if prompt == STRANGER {
        let now = signed.timestamp.parse().expect("a stamp is a number");
        sim.sign_as(&request.request_id, "somebody-else", now, &forged)
    } else {
        signed
    };
    let url = request.webhook_url.as_deref().expect("a webhook was asked for");
    sim.post_callback(url, &headers, forged).await.expect("the listener answers")
}
