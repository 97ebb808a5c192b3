//! The work that takes a server past a point.

use super::clients::{Clients, Wish};
use futures::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};
use simulator::{Fault, Faults, Outcome, Script};
use std::time::Duration;
use testkit::{World, WorldBuilder, wait};

/// Items of a work: more than the hits that are asked for.
pub(super) const ITEMS: u32 = 8;
const MODEL: &str = "fal-ai/flux/schnell";

/// What is done to reach a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One job after the other, each at its end before the next begins: no two of them share a batch.
    InTurn,
    /// As above, but the first run of each job fails, and that is what the next one waits for.
    FailingOnce,
    /// All jobs in one call.
    AtOnce,
    /// All in one call, and every callback is lost.
    WithoutCallbacks,
    /// All in one call; fal takes each and does not answer until the lease has run out.
    Unanswered,
    /// All in one call; each is canceled while it runs.
    Canceled,
    /// All in one call, beside a run of somebody else's; the server is killed, and fal's bills are read days later.
    Audited,
}

impl Kind {
    /// A world for this work. Every job is patient, so none may be paid for twice.
    pub(super) fn world(self) -> WorldBuilder {
        // More slots than jobs: what is unknown holds one, and must not keep the others waiting for the clock.
        let world = World::builder().slots(20);
        if self != Self::Audited {
            return world;
        }
        // Once a year, until the server that is to die is started.
        world.setting("FALCONER_AUDIT__AT", "0 0 0 1 1 *").setting("FALCONER_AUDIT__GRACE", "0s")
    }

    /// Does the work, or as much of it as the server lives to see.
    pub(super) async fn run(self, world: &World, clients: &mut Clients) {
        self.prepare_fal(world);
        // A bit of weather goes along, so that a crash meets what is half done in more than one way.
        clients.call(world, "/v1/jobs/batch", prompts(["lost answer", "lost callback", "doubled", "fails once"])).await;
        match self {
            Self::InTurn => in_turn(world, clients, ENDED).await,
            Self::FailingOnce => in_turn(world, clients, TRIED).await,
            Self::AtOnce | Self::WithoutCallbacks => all_at_once(world, clients).await,
            Self::Unanswered => {
                all_at_once(world, clients).await;
                all_taken(world).await;
                world.advance_clock(Duration::from_secs(31)).await;
            }
            Self::Audited => {
                foreign_run(world).await;
                all_at_once(world, clients).await;
                world.sim().wait_until(|view| view.counts.completed > 4).await.expect("fal gets on");
                // Bills are read day by day, so this gives a week of them to read.
                world.advance_clock(Duration::from_hours(6 * 24)).await;
                clients.grow_old();
            }
            Self::Canceled => {
                all_at_once(world, clients).await;
                all_submitted(world).await;
                let ids = clients.ids_of("/v1/jobs/batch", 1);
                clients.wishes = join_all(ids.into_iter().map(|id| Wish::send(world, id))).await;
            }
        }
    }

    fn prepare_fal(self, world: &World) {
        let once = |fault: Fault| Script { faults: Some(Faults::only(fault)), times: Some(1), ..Script::default() };
        let fails = Script {
            outcome: Some(Outcome::RunnerError("runner_server_error".to_owned())),
            times: Some(1),
            ..Script::default()
        };
        let sim = world.sim();
        sim.script_prompt("lost answer", once(Fault::AcceptThenReset));
        sim.script_prompt("lost callback", once(Fault::CallbackAllLost));
        sim.script_prompt("doubled", once(Fault::CallbackDoubled));
        sim.script_prompt("fails once", fails.clone());
        for item in 0..ITEMS {
            let script = match self {
                Self::InTurn | Self::AtOnce | Self::Audited => continue,
                Self::FailingOnce => fails.clone(),
                Self::WithoutCallbacks => once(Fault::CallbackAllLost),
                Self::Canceled => Script { hold: true, times: Some(1), ..Script::default() },
                Self::Unanswered => Script {
                    hold: true,
                    faults: Some(Faults {
                        submit_slow: 1.0,
                        submit_slow_by: Duration::from_secs(20),
                        ..Faults::default()
                    }),
                    times: Some(1),
                    ..Script::default()
                },
            };
            sim.script_prompt(owl(item), script);
        }
    }
}

fn owl(item: u32) -> String {
    format!("owl {item}.")
}

fn prompts<P: Into<String>>(prompts: impl IntoIterator<Item = P>) -> Value {
    let job = |prompt: P| json!({ "model": MODEL, "input": { "prompt": prompt.into() }, "max_attempts": 20 });
    Value::Array(prompts.into_iter().map(job).collect())
}

const ENDED: &str = "select finished_at is not null from falconer.jobs where id = $1";
const TRIED: &str = "select exists (select from falconer.attempts where job_id = $1 and state = 'failed')";

/// Hands in one job after the other, each when `done` is true of the one before.
async fn in_turn(world: &World, clients: &mut Clients, done: &'static str) {
    let probe = testkit::http_client();
    for item in 0..ITEMS {
        let job = prompts([owl(item)])[0].take();
        let Some(ids) = clients.call(world, "/v1/jobs", job).await else { return };
        let id = ids[0];
        let done = wait::until("a job to get on or its server to die", async || {
            let done: bool =
                sqlx::query_scalar(done).bind(id).fetch_one(world.db()).await.expect("an acknowledged job is there");
            if done || !lives(&probe, world).await { Ok(done) } else { Err(id) }
        })
        .await;
        if !done {
            return;
        }
    }
}

async fn all_at_once(world: &World, clients: &mut Clients) {
    clients.call(world, "/v1/jobs/batch", prompts((0..ITEMS).map(owl))).await;
}

/// Somebody else uses the account. Nobody here may ever pay for that, or overlook it.
async fn foreign_run(world: &World) {
    let url = format!("{}/{MODEL}", world.sim().queue_url());
    let body = json!({ "prompt": "somebody else's" }).to_string();
    let sent = testkit::http_client().post(url).header("authorization", "Key id:secret").body(body).send().await;
    assert!(sent.expect("fal answers").status().is_success());
}

/// Waits until fal has every item and has told nobody.
async fn all_taken(world: &World) {
    let taken = |view: &simulator::View| view.counts.in_progress + view.counts.in_queue >= ITEMS as usize;
    world.sim().wait_until(taken).await.expect("fal takes all of them");
}

/// Waits until the database knows that fal has every item.
async fn all_submitted(world: &World) {
    wait::until("every item to be submitted", async || {
        let query = "select count(*) from falconer.attempts a join falconer.jobs j on j.id = a.job_id
             where a.state = 'submitted' and convert_from(j.input, 'utf8') like '%owl%'";
        let submitted: i64 = sqlx::query_scalar(query).fetch_one(world.db()).await.expect("the database answers");
        if submitted == i64::from(ITEMS) { Ok(()) } else { Err(submitted) }
    })
    .await;
}

async fn lives(probe: &Client, world: &World) -> bool {
    probe.get(format!("{}/livez", world.server().metrics())).send().await.is_ok()
}
