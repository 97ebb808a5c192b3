//! Jobs as callers see them, in every state.

pub(crate) mod world;

use super::*;
use crate::{Store, circuits::Trouble, projects, wake::Wakes};
use bytes::Bytes;
use domain::{AttemptEvent, AttemptId, CredentialId, JobId, ProjectId};
use sqlx::PgPool;
use std::time::Duration;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use world::*;

async fn seen(store: &Store, id: JobId) -> JobView {
    get(store, Some(ME), id).await.unwrap().expect("the job is there")
}

fn watch(store: &Store) -> (Watch, Wakes) {
    let wakes = Wakes::default();
    (Watch::start(store, &wakes, &TaskTracker::new(), &CancellationToken::new()), wakes)
}

fn reason(job: &JobView) -> Option<&'static str> {
    job.waiting.as_ref().map(|waiting| waiting.reason.as_str())
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_fresh_job_waits_for_a_slot_and_reserves_its_estimate(pool: PgPool) {
    let store = store(&pool);
    let id = accepted(&store, a_job()).await;
    let job = seen(&store, id).await;
    assert_eq!((job.state.as_str(), reason(&job)), ("queued", Some("slots")));
    assert_eq!(job.cost.reserved, "0.05".parse().unwrap());
    assert_eq!(job.cost.charged, Some(0.into()));
    assert_eq!((job.request_id, job.error, job.finished_at), (None, None, None));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn another_projects_job_is_not_there(pool: PgPool) {
    let store = store(&pool);
    let id = accepted(&store, a_job()).await;
    let other = projects::find_or_insert(&store, "other").await.unwrap();
    assert_eq!(get(&store, Some(other), id).await.unwrap(), None);
    assert_eq!(result(&store, Some(other), id).await.unwrap(), JobResult::Missing);
    assert!(timeline(&store, Some(other), id).await.unwrap().is_none());
    assert!(input(&store, Some(other), id).await.unwrap().is_none());
    assert!(refetch_source(&store, Some(other), id).await.unwrap().is_none());
    assert_eq!(list(&store, other, &JobFilter::default(), None, 10).await.unwrap().items, []);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_job_says_why_it_waits(pool: PgPool) {
    let store = store(&pool);
    let in_an_hour = store.now().await.unwrap() + Duration::from_hours(1);
    let scheduled = accepted(&store, crate::accept::NewJob { run_at: Some(in_an_hour), ..a_job() }).await;
    let job = seen(&store, scheduled).await;
    assert_eq!(reason(&job), Some("scheduled"));
    assert_eq!(job.waiting.unwrap().expected_start_at, Some(job.run_at));

    let id = accepted(&store, a_job()).await;
    let first = claimed(&store).await;
    assert_eq!(reason(&seen(&store, id).await), None, "it runs");
    decided(&store, &first, AttemptEvent::NoAnswer).await;
    assert_eq!(reason(&seen(&store, id).await), Some("unknown_outcome"));
    let lost = domain::Failure { class: domain::ErrorClass::Infrastructure, charged: domain::Charged::No };
    told(&store, first.attempt, AttemptEvent::ResultError(request("r1"), lost)).await;
    let job = seen(&store, id).await;
    assert_eq!((job.state.as_str(), reason(&job)), ("queued", Some("backoff")));
    assert_eq!(job.waiting.unwrap().expected_start_at, Some(job.run_at));

    advance(&store, Duration::from_mins(10)).await;
    let trouble = Trouble {
        credential: CredentialId::DEFAULT,
        model: String::new(),
        cause: "locked".to_owned(),
        pause: Duration::from_mins(1),
    };
    let opening = crate::circuits::Opening { trouble, asked: Duration::ZERO };
    crate::circuits::open(&mut pool.acquire().await.unwrap(), &[opening]).await.unwrap();
    let job = seen(&store, id).await;
    assert_eq!(reason(&job), Some("circuit_open"));
    assert!(job.waiting.unwrap().expected_start_at.is_some());
    sqlx::query("update falconer.lanes set paused_at = falconer.now()").execute(&pool).await.unwrap();
    assert_eq!(reason(&seen(&store, id).await), Some("paused"));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_ended_job_says_what_it_gave_and_cost(pool: PgPool) {
    let store = store(&pool);
    let (good, _) = succeeded(&store, a_job(), "r-good").await;
    let job = seen(&store, good).await;
    assert_eq!((job.state.as_str(), job.request_id.as_deref()), ("succeeded", Some("r-good")));
    assert_eq!((job.cost.reserved, job.cost.charged), (0.into(), Some("0.05".parse().unwrap())));
    let body = Bytes::from_static(br#"{"images": [ 1.0 ]}"#);
    assert_eq!(result(&store, Some(ME), good).await.unwrap(), JobResult::Found(body), "byte for byte");

    let (bad, _) = failed(&store, a_job(), "r-bad").await;
    let error = seen(&store, bad).await.error.expect("it failed");
    assert_eq!((error.class.as_str(), error.charged), ("content_policy", None), "fal's bill decides");
    assert!(matches!(result(&store, Some(ME), bad).await.unwrap(), JobResult::Failed(_)));

    let open = accepted(&store, a_job()).await;
    assert_eq!(result(&store, Some(ME), open).await.unwrap(), JobResult::Open);
    cancelled(&store, open).await;
    assert_eq!(result(&store, Some(ME), open).await.unwrap(), JobResult::Canceled);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn pages_follow_each_other_without_gap_or_repeat(pool: PgPool) {
    let store = store(&pool);
    let mut ids = Vec::new();
    for n in 0..5 {
        let job = crate::accept::NewJob {
            tags: vec!["red".to_owned()],
            metadata: serde_json::json!({"order": {"n": n, "shop": "a"}}),
            ..a_job()
        };
        ids.insert(0, accepted(&store, job).await);
    }
    accepted(&store, a_job()).await;
    let filter = JobFilter { tag: Some("red".to_owned()), ..JobFilter::default() };
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = list(&store, ME, &filter, after, 2).await.unwrap();
        found.extend(page.items.iter().map(|job| job.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, ids);
    let of = async |filter: JobFilter| list(&store, ME, &filter, None, 10).await.unwrap().items.len();
    let metadata = Some(serde_json::json!({"order": {"n": 3}}));
    assert_eq!(of(JobFilter { metadata, ..JobFilter::default() }).await, 1);
    assert_eq!(of(JobFilter { states: Some(vec!["running".to_owned()]), ..JobFilter::default() }).await, 0);
    assert_eq!(of(JobFilter { model: Some("a/b".to_owned()), ..JobFilter::default() }).await, 0);
    let now = store.now().await.unwrap();
    assert_eq!(of(JobFilter { created_before: Some(now), ..JobFilter::default() }).await, 6);
    assert_eq!(of(JobFilter { created_from: Some(now), ..JobFilter::default() }).await, 0);
    let yesterday = Some(now - Duration::from_hours(24));
    assert_eq!(of(JobFilter { created_before: yesterday, ..JobFilter::default() }).await, 0);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_job_is_found_by_fals_name_for_it(pool: PgPool) {
    let store = store(&pool);
    let (id, _) = succeeded(&store, a_job(), "r-1").await;
    let of = async |project, filter: JobFilter| {
        let filter = JobFilter { request_id: Some("r-1".to_owned()), ..filter };
        let page = list(&store, project, &filter, None, 10).await.unwrap();
        page.items.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(of(ME, JobFilter::default()).await, [id]);
    assert_eq!(of(ME, JobFilter { states: Some(vec!["failed".to_owned()]), ..JobFilter::default() }).await, []);
    assert_eq!(of(ProjectId(crate::fresh_id()), JobFilter::default()).await, []);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_timeline_tells_all_steps_in_order(pool: PgPool) {
    let store = store(&pool);
    let id = accepted(&store, a_job()).await;
    let attempt = claimed(&store).await.attempt;
    told(&store, attempt, AttemptEvent::Bound(request("r-1"))).await;
    called_back(&store, attempt, "r-1").await;
    called_back(&store, attempt, "r-1").await;
    let steps: Vec<String> = timeline(&store, Some(ME), id)
        .await
        .unwrap()
        .expect("the job is there")
        .into_iter()
        .map(|entry| format!("{} {} {}", entry.kind.as_str(), entry.event, entry.to.unwrap_or_default()))
        .collect();
    assert_eq!(
        steps,
        [
            "job accepted queued",
            "attempt claimed submitting",
            "job claimed running",
            "attempt bound submitted",
            "callback applied ",
            "attempt result_ok succeeded",
            "job result_ok succeeded",
            "callback duplicate ",
        ]
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_wait_ends_with_the_job_and_not_before(pool: PgPool) {
    let (store, never) = (store(&pool), CancellationToken::new());
    let (watch, wakes) = watch(&store);
    let id = accepted(&store, a_job()).await;
    let attempt = claimed(&store).await.attempt;
    let waiting = wait(&store, &watch, ME, id, Duration::from_secs(30), &never);
    let ending = async {
        told(&store, attempt, AttemptEvent::ResultOk(request("r-1"))).await;
        wakes.ended.notify_waiters();
    };
    let (job, ()) = tokio::join!(waiting, ending);
    assert!(job.unwrap().expect("the job is there").is_terminal());
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_wait_gives_the_open_job_when_time_or_process_ends(pool: PgPool) {
    let (store, stop) = (store(&pool), CancellationToken::new());
    let (watch, _) = watch(&store);
    let id = accepted(&store, a_job()).await;
    let job = wait(&store, &watch, ME, id, Duration::ZERO, &stop).await.unwrap();
    assert_eq!(job.expect("the job is there").state, "queued");
    stop.cancel();
    let job = wait(&store, &watch, ME, id, Duration::from_hours(1), &stop).await.unwrap();
    assert_eq!(job.expect("the job is there").state, "queued");
    let none = wait(&store, &watch, ME, JobId(crate::fresh_id()), Duration::from_hours(1), &stop).await.unwrap();
    assert_eq!(none, None);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_refetched_result_makes_one_job_and_costs_nothing(pool: PgPool) {
    let store = store(&pool);
    let (id, attempt) = failed(&store, a_job(), "r-1").await;
    let source = refetch_source(&store, Some(ME), id).await.unwrap().expect("the job is there");
    assert_eq!(source.attempt, Some((attempt, "r-1".to_owned())));
    let body = Bytes::from_static(b"{ }");
    let fresh = || (JobId(crate::fresh_id()), AttemptId(crate::fresh_id()));
    let made = insert_refetched(&store, id, attempt, fresh(), &body).await.unwrap();
    let Refetched::Created(made) = made else { panic!("not made: {made:?}") };
    assert_eq!(insert_refetched(&store, id, attempt, fresh(), &body).await.unwrap(), Refetched::Found(made));

    let job = seen(&store, made).await;
    assert_eq!((job.state.as_str(), job.refetched_from, job.attempts_made), ("succeeded", Some(id), 0));
    assert_eq!((job.request_id.as_deref(), job.cost.charged), (Some("r-1"), Some(0.into())));
    assert_eq!(result(&store, Some(ME), made).await.unwrap(), JobResult::Found(body));
    assert_eq!(seen(&store, id).await.state, "failed", "a terminal job never changes");
    let events: i64 =
        sqlx::query_scalar("select count(*) from falconer.job_events where job_id = $1 and type = 'job.succeeded'")
            .bind(made.0)
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(events, 1);
    cancelled(&store, made).await;
    assert_eq!(seen(&store, made).await.state, "succeeded", "its rows can be settled like all others");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn only_a_lost_result_is_restored(pool: PgPool) {
    let store = store(&pool);
    let (id, attempt) = succeeded(&store, a_job(), "r-1").await;
    let other = Bytes::from_static(b"{}");
    assert!(!restore_result(&store, id, &other).await.unwrap(), "results are immutable");
    sqlx::query("delete from falconer.results").execute(&pool).await.unwrap();
    assert_eq!(result(&store, Some(ME), id).await.unwrap(), JobResult::Lost);
    assert!(restore_result(&store, id, &other).await.unwrap());
    assert_eq!(result(&store, Some(ME), id).await.unwrap(), JobResult::Found(other.clone()));
    let fresh = (JobId(crate::fresh_id()), AttemptId(crate::fresh_id()));
    assert_eq!(insert_refetched(&store, id, attempt, fresh, &other).await.unwrap(), Refetched::Gone);
}
