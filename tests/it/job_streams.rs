//! A job's states as server-sent events.

use reqwest::{Response, StatusCode};
use serde_json::Value;
use std::time::Duration;
use testkit::{World, http_client, wait};

/// One event: its id and its job.
type Event = (u64, Value);

async fn open(world: &World, server: usize, id: uuid::Uuid, last: Option<u64>) -> Response {
    let url = format!("{}/v1/jobs/{id}/stream", world.servers()[server].api());
    let mut request = http_client().get(url).bearer_auth(world.api_key()).header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    request.send().await.expect("an answer")
}

/// Reads a stream to its end.
async fn events(answer: Response) -> Vec<Event> {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let text = answer.text().await.expect("the stream ends");
    assert!(text.starts_with("retry: 3000\n\n"), "{text}");
    text.split("\n\n").filter(|event| event.starts_with("event: job")).map(read).collect()
}

fn read(event: &str) -> Event {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).expect("the field is there");
    (field("id: ").parse().expect("a number"), serde_json::from_str(field("data: ")).expect("a job"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_of_a_job_that_another_process_runs_until_it_has_ended() {
    let mut world = World::builder().roles("api").start().await;
    let id = world.submit_prompt("an owl").await;
    let stream = open(&world, 0, id, None).await;
    world.second_server().await;

    let told = events(stream).await;

    assert!(told.len() >= 2, "{told:?}");
    assert_eq!((told[0].0, &told[0].1["state"]), (1, &Value::from("queued")));
    assert!(told.windows(2).all(|pair| pair[0].0 < pair[1].0), "{told:?}");
    let (last, ended) = told.last().unwrap();
    assert_eq!(ended["state"], "succeeded");
    assert_eq!(*ended, world.job(id).await);

    // Whoever has read the first goes on behind it, and whoever has read the last need not come again.
    assert_eq!(events(open(&world, 0, id, Some(1)).await).await.last(), told.last());
    assert_eq!(open(&world, 0, id, Some(*last)).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(events(open(&world, 0, id, Some(1000)).await).await.last(), told.last(), "no event was ever 1000");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_process_and_whoever_follows_connects_to_the_next() {
    let mut world = World::builder().roles("api").start().await;
    let id = world.submit_prompt("an owl").await;
    let stream = open(&world, 0, id, None).await;

    let (took, is_clean) = world.terminate().await;

    assert!(is_clean && took < Duration::from_secs(10), "{took:?}");
    let told = events(stream).await;
    assert_eq!(told.len(), 1);
    let heir = world.second_server().await;
    assert_eq!(events(open(&world, heir, id, Some(told[0].0)).await).await.last().unwrap().1["state"], "succeeded");
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_of_a_key_are_counted_and_hold_no_connection_to_the_database() {
    let world = World::builder().roles("api").start().await;
    let id = world.submit_prompt("an owl").await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(open(&world, 0, id, None).await);
    }
    assert!(held.iter().all(|answer| answer.status() == StatusCode::OK));

    let refused = open(&world, 0, id, None).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    let stranger = world.stranger_key("other").await.unwrap();
    let headers = [("authorization", &*format!("Bearer {stranger}"))];
    let path = format!("/v1/jobs/{id}/stream");
    let foreign = world.call(reqwest::Method::GET, &path, &headers, "").await;
    assert_eq!((foreign.status, &foreign.json()["type"]), (404, &Value::from("/errors/job-not-found")));

    world.wait_connections_idle().await;
    drop(held);
    wait::until("a place to be free", async || {
        let status = open(&world, 0, id, None).await.status();
        if status == StatusCode::OK { Ok(()) } else { Err(status) }
    })
    .await;
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_takes_no_parameters_and_no_strange_last_event() {
    let world = World::builder().roles("api").start().await;
    let id = world.submit_prompt("an owl").await;
    let path = format!("/v1/jobs/{id}/stream");
    assert_eq!(world.get(&format!("{path}?since=1")).await.json()["errors"][0]["field"], "since");
    for last in ["", "x", "-1", "1.5", "99999999999999999999"] {
        let answer = world.call(reqwest::Method::GET, &path, &[("last-event-id", last)], "").await;
        assert_eq!(
            (answer.status, &answer.json()["errors"][0]["field"]),
            (400, &Value::from("Last-Event-ID")),
            "{last}"
        );
    }
    world.check().await;
}
