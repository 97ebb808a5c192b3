//! Requests that Falconer did not send: a minted callback URL, and a request that is under way already.

mod checks;
mod clients;
mod requests;
mod urls;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, JobId, World};

const MODEL: &str = "fal-ai/flux/schnell";

/// Mints a callback URL, which must be granted, and returns the job and the URL.
async fn mint(world: &World, more: Value) -> (JobId, String) {
    let mut body = json!({ "model": MODEL });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let answer = world.post("/v1/callback-urls", &body).await;
    assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
    let url = answer.json()["callback_url"].as_str().expect("a URL was minted").to_owned();
    (answer.job_id(), url)
}

/// Sends a request as its caller does, by a key of his own, and returns fal's name for it.
async fn send(world: &World, prompt: &str, webhook: Option<&str>) -> String {
    send_by(world, "id:secret", prompt, webhook).await
}

async fn send_by(world: &World, key: &str, prompt: &str, webhook: Option<&str>) -> String {
    let mut url = reqwest::Url::parse(&format!("{}/{MODEL}", world.sim().queue_url())).expect("a URL");
    if let Some(webhook) = webhook {
        url.query_pairs_mut().append_pair("fal_webhook", webhook);
    }
    let body = json!({ "prompt": prompt }).to_string();
    let sent = testkit::http_client().post(url).header("authorization", format!("Key {key}")).body(body).send().await;
    let answer = sent.expect("fal answers").bytes().await.expect("fal's answer has a body");
    let answer: Value = serde_json::from_slice(&answer).expect("fal answers in JSON");
    answer["request_id"].as_str().expect("fal names the request").to_owned()
}

async fn adopt(world: &World, request_id: &str) -> Answer {
    world.post("/v1/jobs/adopt", &json!({ "model": MODEL, "request_id": request_id })).await
}

async fn adopt_as(world: &World, key: &str, request_id: &str) -> Answer {
    let bearer = format!("Bearer {key}");
    let body = json!({ "model": MODEL, "request_id": request_id }).to_string();
    world.call(Method::POST, "/v1/jobs/adopt", &[("authorization", &bearer)], body).await
}

/// The state of a job's one attempt, and who told us fal's name for it.
async fn attempt(world: &World, id: JobId) -> (String, Option<String>) {
    let query = "select state, bound_by from falconer.attempts where job_id = $1";
    sqlx::query_as(query).bind(id).fetch_one(world.db()).await.expect("it has one attempt")
}

async fn ledger(world: &World, id: JobId) -> Vec<String> {
    let query = "select kind from falconer.ledger where job_id = $1 order by kind";
    sqlx::query_scalar(query).bind(id).fetch_all(world.db()).await.expect("the database answers")
}

async fn count(world: &World, table: &str) -> i64 {
    let query = sqlx::AssertSqlSafe(format!("select count(*) from falconer.{table}"));
    sqlx::query_scalar(query).fetch_one(world.db()).await.expect("the database answers")
}

/// The time of the database.
async fn now(world: &World) -> chrono::DateTime<chrono::Utc> {
    sqlx::query_scalar("select falconer.now()").fetch_one(world.db()).await.expect("the database answers")
}

/// The slug of a problem.
fn problem(answer: &Answer) -> String {
    answer.json()["type"].as_str().unwrap_or_default().trim_start_matches("/errors/").to_owned()
}
