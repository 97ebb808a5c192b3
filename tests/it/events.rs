//! The feed: what ended is read in order and acknowledged, by HTTP and by SQL.

mod order;
mod readers;

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{JobId, World};
use tokio_util::task::TaskTracker;

/// Asks for the next events of a consumer, as the holder of `key`.
async fn page(world: &World, key: &str, query: &str) -> Value {
    let head = format!("Bearer {key}");
    let path = format!("/v1/events?{query}");
    let answer = world.call(Method::GET, &path, &[("authorization", &head)], Bytes::new()).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

async fn acknowledge(world: &World, key: &str, consumer: &str, page: &Value) {
    let head = format!("Bearer {key}");
    let body = json!({ "consumer": consumer, "cursor": page["cursor"] }).to_string();
    let answer = world.call(Method::POST, "/v1/events/ack", &[("authorization", &head)], body).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

fn ids(page: &Value) -> Vec<JobId> {
    let items = page["items"].as_array().into_iter().flatten();
    items.map(|item| item["id"].as_str().and_then(|id| id.parse().ok()).expect("an event has an id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_is_given_the_end_of_a_job_with_its_result() {
    let world = World::start().await;
    let key = world.api_key();
    let (waited, job) = tokio::join!(page(&world, key, "consumer=web&wait=30s"), world.submit_prompt("an owl"));

    let event = &waited["items"][0];
    assert_eq!((&event["type"], &event["data"]["id"]), (&json!("job.succeeded"), &json!(job)));
    assert_eq!(event["data"]["result"], serde_json::from_slice::<Value>(&world.result(job).await).unwrap());
    assert_eq!(event["timestamp"], event["data"]["finished_at"]);
    assert_eq!(page(&world, key, "consumer=web").await, waited, "until it is acknowledged");
    let own = world.get(&format!("/v1/events/{}", event["id"].as_str().unwrap())).await;
    assert_eq!(&own.json(), event);
    acknowledge(&world, key, "web", &waited).await;
    assert_eq!(ids(&page(&world, key, "consumer=web").await), Vec::<JobId>::new());
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_in_another_process_is_heard() {
    let mut world = World::builder().roles("api").start().await;
    world.second_server().await;
    let key = world.api_key();

    for n in 0..3 {
        let asked = page(&world, key, "consumer=web&wait=40s");
        let prompt = format!("owl {n}");
        let (waited, job) = tokio::join!(asked, world.submit_prompt(&prompt));
        assert_eq!(waited["items"][0]["data"]["id"], json!(job));
        acknowledge(&world, key, "web", &waited).await;
    }
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_wait_with_an_empty_page() {
    let mut world = World::start().await;
    let (client, url) = (testkit::http_client(), format!("{}/v1/events?consumer=web&wait=50s", world.server().api()));
    let asked = client.get(url).bearer_auth(world.api_key()).send();
    let asked = TaskTracker::new().spawn(async move { asked.await?.json::<Value>().await });
    testkit::wait::until("the consumer to be there", async || {
        let there = world.get("/v1/consumers").await.json()["items"].as_array().map(Vec::len);
        if there == Some(1) { Ok(()) } else { Err(there) }
    })
    .await;

    let (took, well) = world.terminate().await;

    let page = asked.await.unwrap().expect("the wait is answered");
    assert_eq!((&page["items"], &page["gap"]), (&json!([]), &Value::Null));
    assert!(well && took < Duration::from_secs(20), "{took:?}");
    world.check().await;
}
