//! Two projects with an account each: every attempt goes out under its own key, and neither account's trouble is the other's.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

mod callbacks;
mod command_line;
mod keys;
mod trouble;

use reqwest::Method;
use serde_json::{Value, json};
use simulator::{AccountConfig, RequestView, SimulatorConfig};
use testkit::{Answer, FAL_KEY, JobId, World, WorldBuilder, wait};

/// The keys of the second account. Like no other text, so that they are found wherever they are kept.
const STUDIO_KEY: &str = "studio-id:studio-secret-8d1e90c2f4b7";
const STUDIO_NEW_KEY: &str = "studio-new-id:studio-secret-5a6b7c8d9e0f";
const STUDIO_USER: &str = "user-simulated-studio";
/// Its number at the simulated fal.
const STUDIO: usize = 1;

/// A world of two accounts, the second with this many slots, where fal knows no other key than theirs.
fn two_accounts(slots: u32) -> WorldBuilder {
    World::builder().sim(|sim: &mut SimulatorConfig| {
        sim.keys = vec![FAL_KEY.to_owned()];
        let keys = vec![STUDIO_KEY.to_owned(), STUDIO_NEW_KEY.to_owned()];
        sim.accounts = vec![AccountConfig { user_id: STUDIO_USER.to_owned(), keys, slots }];
    })
}

/// The project `studio`, whose jobs the second account pays for, and an operator.
struct Studio {
    key: String,
    admin: String,
    /// The id of its credential.
    id: String,
}

impl Studio {
    async fn set_up(world: &World, slots: u32) -> Self {
        let key = world.stranger_key("studio").await.unwrap();
        let admin = world.operator_key().await;
        let body = json!({
            "name": "studio", "key": STUDIO_KEY, "slots": slots, "user_id": STUDIO_USER, "project": "studio",
        });
        let made = call(world, &admin, Method::POST, "/v1/credentials", &body).await;
        assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
        Self { key, admin, id: made.json()["id"].as_str().unwrap().to_owned() }
    }

    /// Does something to its credential as the operator.
    async fn change(&self, world: &World, verb: &str, body: &Value) -> Value {
        let path = format!("/v1/credentials/{}/{verb}", self.id);
        let answer = call(world, &self.admin, Method::POST, &path, body).await;
        assert_eq!(answer.status, 200, "{verb}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    async fn submit(&self, world: &World, prompt: &str) -> JobId {
        let body = json!({ "model": "fal-ai/flux/schnell", "input": { "prompt": prompt } });
        call(world, &self.key, Method::POST, "/v1/jobs", &body).await.job_id()
    }

    async fn wait_job(&self, world: &World, id: JobId, what: &str, wished: impl Fn(&Value) -> bool) -> Value {
        wait::until(&format!("job {id} {what}"), async || {
            let job = call(world, &self.key, Method::GET, &format!("/v1/jobs/{id}"), &Value::Null).await.json();
            if wished(&job) { Ok(job) } else { Err(job) }
        })
        .await
    }

    async fn wait_succeeded(&self, world: &World, id: JobId) {
        let job = self.wait_job(world, id, "to end", |job| !job["finished_at"].is_null()).await;
        assert_eq!(job["state"], "succeeded", "{job:#}");
    }
}

async fn call(world: &World, key: &str, method: Method, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    world.call(method, path, &[("authorization", &format!("Bearer {key}"))], body).await
}

/// What fal has of an account.
fn requests_of(world: &World, account: usize) -> Vec<RequestView> {
    world.sim().requests().into_iter().filter(|request| request.account == account).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_projects_jobs_go_out_under_its_own_key_and_come_home() {
    let world = two_accounts(5).start().await;
    let studio = Studio::set_up(&world, 5).await;

    let ours = world.submit_many(4, "a lighthouse").await;
    let mut theirs = Vec::new();
    for number in 0..4 {
        theirs.push(studio.submit(&world, &format!("a studio portrait {number}")).await);
    }
    world.wait_all_succeeded(&ours).await;
    for id in theirs {
        studio.wait_succeeded(&world, id).await;
    }

    let input = |request: &RequestView| String::from_utf8_lossy(&request.input).into_owned();
    let (first, second) = (requests_of(&world, 0), requests_of(&world, STUDIO));
    assert_eq!((first.len(), second.len()), (4, 4));
    assert!(
        first.iter().all(|request| request.key_id == "key-of-every-world" && input(request).contains("lighthouse"))
    );
    assert!(second.iter().all(|request| request.key_id == "studio-id" && input(request).contains("portrait")));
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_callbacks_are_made_good_with_the_key_of_the_attempts_own_account() {
    use simulator::{Fault, Faults};
    let world = two_accounts(5).faults(Faults::only(Fault::CallbackAllLost)).start().await;
    let studio = Studio::set_up(&world, 5).await;

    let ours = world.submit_prompt("a lighthouse").await;
    let theirs = studio.submit(&world, "a studio portrait").await;

    world.wait_ended_as(ours, "succeeded").await;
    studio.wait_succeeded(&world, theirs).await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_attempts_are_found_in_the_history_of_their_own_account() {
    use simulator::{Fault, Faults};
    let faults = Faults::only(Fault::AcceptThenReset).with(Fault::CallbackAllLost, 1.0);
    let world = two_accounts(5).faults(faults).start().await;
    let studio = Studio::set_up(&world, 5).await;

    let ours = world.submit_prompt("a lighthouse").await;
    let theirs = studio.submit(&world, "a studio portrait").await;

    world.wait_ended_as(ours, "succeeded").await;
    studio.wait_succeeded(&world, theirs).await;
    assert_eq!(world.sim().submissions(), 2, "nothing was sent twice");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_assignment_is_for_new_jobs_alone() {
    let world = two_accounts(5).start().await;
    let studio = Studio::set_up(&world, 5).await;
    let body =
        json!({ "model": "fal-ai/flux/schnell", "input": { "prompt": "later" }, "run_at": "2090-01-01T00:00:00Z" });
    let old = call(&world, &studio.key, Method::POST, "/v1/jobs", &body).await.job_id();
    let back = "/v1/credentials/00000000-0000-7000-8000-000000000001/assign";
    let assigned = call(&world, &studio.admin, Method::POST, back, &json!({ "project": "studio" })).await;
    assert_eq!(assigned.status, 200);

    let new = studio.submit(&world, "a portrait on the house").await;
    studio.wait_succeeded(&world, new).await;

    assert_eq!((requests_of(&world, 0).len(), requests_of(&world, STUDIO).len()), (1, 0));
    let credential = "select credential_id::text from falconer.jobs where id = $1";
    let kept: String = sqlx::query_scalar(credential).bind(old).fetch_one(world.db()).await.unwrap();
    assert_eq!(kept, studio.id);
    let canceled = call(&world, &studio.key, Method::POST, &format!("/v1/jobs/{old}/cancel"), &Value::Null).await;
    assert_eq!(canceled.status, 202);
    world.drain_and_check().await;
}
