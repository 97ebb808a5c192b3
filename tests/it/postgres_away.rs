//! The database crashes, or is away for a while.

use bytes::Bytes;
use futures::future::join_all;
use reqwest::Method;
use simulator::Script;
use std::time::{Duration, Instant};
use testkit::{World, ok_body};

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_crashes_and_comes_back_costs_time_and_no_job() {
    let world = World::builder().own_postgres().start().await;
    let ids = world.submit_many(60, "an owl").await;

    for ended in [10, 30] {
        world.sim().wait_until(|view| view.counts.completed >= ended).await.unwrap();
        world.postgres().restart_immediate().await.unwrap();
    }

    world.wait_all_succeeded(&ids).await;
    assert_eq!(world.sim().submissions(), 60);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_callbacks_get_503_soon_and_nothing_acknowledged_is_absent() {
    let world = World::builder().own_postgres().slots(20).start().await;
    world.sim().script_prompt("owl", Script { hold: true, ..Script::default() });
    let ids = world.submit_many(20, "owl").await;
    for id in &ids {
        world.wait_job(*id, "to be sent", |job| job["request_id"].is_string()).await;
    }
    // Leaves connections open in every pool.
    join_all(ids.iter().map(|id| world.job(*id))).await;
    world.postgres().stop().await.unwrap();
    world.sim().release_held();

    let requests = world.sim().requests();
    let answers = join_all(requests.iter().map(async |request| {
        let body = ok_body(&request.request_id, b"{}");
        let headers = world.sim().sign(&request.request_id, &body);
        let began = Instant::now();
        let status = world.sim().post_callback(request.webhook_url.as_deref().unwrap(), &headers, body).await.unwrap();
        (status, began.elapsed())
    }))
    .await;
    for (status, took) in answers {
        assert_eq!(status, 503);
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    let submit =
        world.try_call(0, Method::POST, "/v1/jobs", &[], Bytes::from_static(b"{\"model\":\"a/b\",\"input\":{}}")).await;
    assert_eq!(submit.unwrap().status, 503);
    let tried = |view: &simulator::View| view.requests.iter().all(|request| !request.webhook_tries.is_empty());
    world.sim().wait_until(tried).await.unwrap();
    world.postgres().start_again().await.unwrap();

    world.wait_all_succeeded(&ids).await;
    let first = |request: &simulator::RequestView| request.webhook_tries[0].status;
    assert!(world.sim().requests().iter().all(|request| first(request) == Some(503)));
    world.drain_and_check().await;
}
