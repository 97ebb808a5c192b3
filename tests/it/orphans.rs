//! Charges that no attempt explains, attempts that only a bill can name, and jobs that wait for a person.

mod bills;
mod candidates;
mod charges;
mod commands;
mod history;
mod operator;
mod reading;
mod starved;

use serde_json::{Value, json};
use simulator::{Fault, Faults, RequestView, Script};
use testkit::{Answer, JobId, World, WorldBuilder};

const MODEL: &str = "fal-ai/flux/schnell";

/// A world that audits each second, and calls an orphan what was billed a moment ago.
fn audited() -> WorldBuilder {
    World::builder().setting("FALCONER_AUDIT__AT", "* * * * * *").setting("FALCONER_AUDIT__GRACE", "0s")
}

/// fal takes the request, and neither its answer nor any callback arrives.
fn lost() -> Script {
    let faults = Faults::only(Fault::AcceptThenReset).with(Fault::CallbackAllLost, 1.0);
    Script { faults: Some(faults), ..Script::default() }
}

async fn wait_unknown(world: &World, id: JobId) {
    world.wait_job(id, "to be unknown", |job| job["waiting"]["reason"] == "unknown_outcome").await;
}

async fn state_of(world: &World, id: JobId, number: i16) -> (String, Option<String>) {
    let query = "select state, bound_by from falconer.attempts where job_id = $1 and number = $2";
    sqlx::query_as(query).bind(id).bind(number).fetch_one(world.db()).await.expect("the attempt is there")
}

async fn ledger(world: &World, id: JobId) -> Vec<String> {
    let query = "select kind from falconer.ledger where job_id = $1 order by kind";
    sqlx::query_scalar(query).bind(id).fetch_all(world.db()).await.expect("the database answers")
}

async fn count(world: &World, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(world.db()).await.expect("the database answers")
}

/// Somebody else's use of the account: a run that Falconer knows nothing of.
async fn foreign_run(world: &World, model: &str) -> String {
    let url = format!("{}/{model}", world.sim().queue_url());
    let body = json!({ "prompt": "somebody else's" }).to_string();
    let sent = testkit::http_client().post(url).header("authorization", "Key id:secret").body(body).send().await;
    let answer = sent.expect("fal answers").bytes().await.expect("fal's answer has a body");
    let answer: Value = serde_json::from_slice(&answer).expect("fal answers in JSON");
    answer["request_id"].as_str().expect("fal names the request").to_owned()
}

/// Waits until fal has billed so many requests.
async fn billed(world: &World, requests: usize) -> Vec<RequestView> {
    let is_billed = |request: &RequestView| request.cost.is_some();
    let view = world.sim().wait_until(|view| view.requests.iter().filter(|each| is_billed(each)).count() >= requests);
    view.await.expect("fal bills what it ran").requests.into_iter().filter(is_billed).collect()
}

/// Calls with a key; without one, with that of the project `default`.
async fn call_as(world: &World, key: &str, method: &str, path: &str, body: Value) -> Answer {
    let bearer = format!("Bearer {key}");
    let headers = if key.is_empty() { &[][..] } else { &[("authorization", bearer.as_str())][..] };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let method = method.parse().expect("a method");
    world.call(method, path, headers, body).await
}

/// Orphan charges as the holder of a key sees them; `query` is such as `state=open`.
async fn orphans(world: &World, key: &str, query: &str) -> Vec<Value> {
    let answer = call_as(world, key, "GET", &format!("/v1/orphan-charges?{query}"), Value::Null).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["items"].as_array().cloned().unwrap_or_default()
}

async fn wait_orphans(world: &World, key: &str, query: &str, wanted: usize) -> Vec<Value> {
    testkit::wait::until(&format!("{wanted} orphan charges of {query}"), async || {
        let found = orphans(world, key, query).await;
        if found.len() == wanted { Ok(found) } else { Err(found) }
    })
    .await
}

/// Waits until so many more audits have read all there is.
async fn wait_audits(world: &World, more: usize) {
    for _ in 0..more {
        let query = "select read_until::text from falconer.billing_cursors";
        let read = async || -> Option<String> {
            sqlx::query_scalar(query).fetch_optional(world.db()).await.expect("the database answers")
        };
        let before = read().await;
        testkit::wait::until("another audit", async || {
            let after = read().await;
            if after == before { Err(after) } else { Ok(()) }
        })
        .await;
    }
}
