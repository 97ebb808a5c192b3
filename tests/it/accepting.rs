//! Jobs in: idempotency, unique keys, bad input, strangers.

use bytes::Bytes;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashSet;
use testkit::{Answer, World, wait};

const JOB: &str = r#"{"model": "fal-ai/flux/schnell", "input": {"prompt": "an owl"}}"#;

async fn post_with_key(world: &World, key: &str, body: &str, more: &[(&str, &str)]) -> Answer {
    let headers = [&[("idempotency-key", key)], more].concat();
    world.call(Method::POST, "/v1/jobs", &headers, body.to_owned()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_posts_with_one_key_make_one_job() {
    let world = World::start().await;

    let answers = join_all((0..64).map(|_| post_with_key(&world, "order-1", JOB, &[]))).await;

    let ids: HashSet<_> = answers.iter().map(Answer::job_id).collect();
    assert_eq!(ids.len(), 1);
    assert!(answers.iter().all(|answer| answer.status == 202));
    let first_hand = answers.iter().filter(|answer| answer.header("idempotency-replayed") != "true").count();
    assert_eq!(first_hand, 1);
    assert_eq!(world.get("/v1/jobs").await.json()["items"].as_array().unwrap().len(), 1);
    world.drain_and_check().await;
    assert_eq!(world.sim().submissions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_another_body_is_refused_and_the_first_job_untouched() {
    let world = World::start().await;
    let first = post_with_key(&world, "order-1", JOB, &[]).await.job_id();

    let other = post_with_key(&world, "order-1", &JOB.replace("owl", "eagle"), &[]).await;

    assert_eq!(other.status, 422);
    assert_eq!(other.header("content-type"), "application/problem+json");
    assert_eq!(other.json()["type"], "/errors/idempotency-key-reused");
    world.wait_ended_as(first, "succeeded").await;
    world.drain_and_check().await;
    assert_eq!(world.sim().submissions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_committed_before_a_crash_is_found_by_its_key() {
    let mut world = World::start().await;
    let committed = async {
        wait::until("the job to be committed", async || {
            let jobs: i64 =
                sqlx::query_scalar("select count(*) from falconer.jobs").fetch_one(world.db()).await.unwrap();
            if jobs == 1 { Ok(()) } else { Err(jobs) }
        })
        .await;
    };
    // Whether the caller still hears of it is left to chance: it must not matter.
    let call = world.try_call(0, Method::POST, "/v1/jobs", &[("idempotency-key", "k")], Bytes::from(JOB));
    tokio::select! {
        () = committed => {}
        answer = call => assert_eq!(answer.unwrap().status, 202),
    }
    world.kill_9().await;
    world.restart().await;

    let again = post_with_key(&world, "k", JOB, &[]).await;

    assert_eq!(again.status, 202);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let jobs: i64 = sqlx::query_scalar("select count(*) from falconer.jobs").fetch_one(world.db()).await.unwrap();
    assert_eq!(jobs, 1);
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_job_failed_is_free_again_where_the_caller_says_so() {
    let world = World::start().await;
    let body = r#"{"model": "fal-ai/flux/schnell", "input": {}}"#;
    let failed = post_with_key(&world, "k", body, &[]).await.job_id();
    world.wait_ended_as(failed, "failed").await;

    let replayed = post_with_key(&world, "k", body, &[]).await;
    let reset = post_with_key(&world, "k", body, &[("idempotency-reset", "failed")]).await;

    assert_eq!(replayed.job_id(), failed);
    assert_eq!(replayed.header("idempotency-replayed"), "true");
    assert_eq!(reset.status, 202);
    assert_ne!(reset.job_id(), failed);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_job_is_made_once_in_its_period() {
    let world = World::start().await;
    let job = json!({ "unique": { "key": "cover-of-7", "for": "10m" } });
    let first = world.submit(job.clone()).await;

    let body = json!({ "model": "fal-ai/flux/dev", "input": { "prompt": "other" }, "unique": job["unique"] });
    let second = world.post("/v1/jobs", &body).await;
    world.advance_clock(std::time::Duration::from_mins(11)).await;
    let third = world.submit(job).await;

    assert_eq!(second.status, 202);
    assert_eq!(second.job_id(), first);
    assert_eq!(second.header("unique-conflict"), "true");
    assert_ne!(third, first);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_line_by_line_and_refuses_only_what_is_bad() {
    let world = World::start().await;
    let lines = format!("{JOB}\n{{\"model\": 7}}\n{}", JOB.replace("owl", "eagle"));

    let answer = world.call(Method::POST, "/v1/jobs/batch", &[("content-type", "application/x-ndjson")], lines).await;

    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let lines: Vec<Value> = answer
        .body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    let by_index = |index: u64| lines.iter().find(|line| line["index"] == index).unwrap();
    assert!(by_index(0)["job"]["id"].is_string());
    assert_eq!(by_index(1)["problem"]["errors"][0]["field"], "model");
    assert!(by_index(2)["job"]["id"].is_string());
    world.drain_and_check().await;
    assert_eq!(world.sim().submissions(), 2);
}
