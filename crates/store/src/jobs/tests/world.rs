//! A database with jobs in every state, made by the functions that make them in earnest.

use crate::{
    Pools, Store, accept,
    accept::NewJob,
    claim::{ClaimRequest, Claimed, claim},
    settle::{AttemptNews, CallbackNews, Entry, Guard, JobNews, Said, Settled, Source, settle},
};
use bytes::Bytes;
use domain::{
    AttemptEvent, AttemptId, CallbackId, Charged, CredentialId, ErrorClass, Failure, JobEvent, JobId, OnUnknown,
    Priority, ProjectId, RequestId, RetryPolicy, Timeouts,
};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::time::Duration;

pub(crate) const ME: ProjectId = ProjectId::DEFAULT;
pub(crate) const RETRY: RetryPolicy = RetryPolicy { first: Duration::from_mins(1), longest: Duration::from_mins(5) };

pub(crate) fn store(pool: &PgPool) -> Store {
    let pool = || pool.clone();
    Store { pools: Pools { callbacks: pool(), api: pool(), work: pool(), maintenance: pool() } }
}

pub(crate) fn a_job() -> NewJob {
    NewJob {
        id: JobId(crate::fresh_id()),
        project: ME,
        credential: None,
        model: "fal-ai/flux/dev".to_owned(),
        input: Bytes::from_static(br#"{"prompt": "a lighthouse"}"#),
        input_sha256: [1; 32],
        mints_seed: false,
        priority: Priority::default(),
        run_at: None,
        useful_until: None,
        on_unknown: OnUnknown::default(),
        attempts_max: 5,
        tags: Vec::new(),
        metadata: serde_json::json!({}),
        idempotency: None,
        unique: None,
        regenerated_from: None,
        estimated: Some("0.050".parse().unwrap()),
    }
}

pub(crate) async fn accepted(store: &Store, job: NewJob) -> JobId {
    let mut tx = store.pools.api.begin().await.unwrap();
    let answers = accept::insert(&mut tx, &[job]).await.unwrap();
    tx.commit().await.unwrap();
    answers[0].accepted.job()
}

/// Claims the one job that is ready.
pub(crate) async fn claimed(store: &Store) -> Claimed {
    let timeouts = Timeouts {
        submit: Duration::from_secs(15),
        lease: Duration::from_secs(30),
        start: Duration::from_mins(10),
        run: Duration::from_hours(1),
        abandon_after: Duration::from_hours(3),
        history_after: Duration::from_secs(30),
    };
    let request = ClaimRequest {
        credential: CredentialId::DEFAULT,
        owner: crate::fresh_id(),
        places: 100,
        timeouts: &timeouts,
        fresh: &[(AttemptId(crate::fresh_id()), 7)],
    };
    claim(store, &request).await.unwrap().pop().expect("a job is ready")
}

pub(crate) async fn told(store: &Store, attempt: AttemptId, event: AttemptEvent) {
    let result = matches!(event, AttemptEvent::ResultOk(_)).then(|| Bytes::from_static(br#"{"images": [ 1.0 ]}"#));
    let news = AttemptNews { result, ..AttemptNews::of(attempt, Some(event), Guard::Evidence, Source::Submit) };
    settled(store, Entry::Attempt(Box::new(news))).await;
}

pub(crate) async fn decided(store: &Store, claimed: &Claimed, event: AttemptEvent) {
    let guard = Guard::Lease { fence: claimed.fence };
    let news = AttemptNews {
        message: Some("as fal said".to_owned()),
        ..AttemptNews::of(claimed.attempt, Some(event), guard, Source::Submit)
    };
    settled(store, Entry::Attempt(Box::new(news))).await;
}

pub(crate) async fn cancelled(store: &Store, job: JobId) {
    settled(store, Entry::Job(JobNews { job, project: None, event: JobEvent::CancelRequested })).await;
}

/// A callback that says OK, from a user that is pinned first.
pub(crate) async fn called_back(store: &Store, attempt: AttemptId, request_id: &str) -> CallbackId {
    crate::credentials::repin(store, CredentialId::DEFAULT, Some("user_me"), &crate::audit::By::command_line("test"))
        .await
        .unwrap();
    let id = CallbackId(crate::fresh_id());
    let body = Bytes::from_static(br#"{"status":"OK","payload":{"images":[]}}"#);
    let news = CallbackNews {
        id,
        credential: CredentialId::DEFAULT,
        attempt,
        request_id: request(request_id),
        user_id: "user_me".to_owned(),
        signed_at: store.now().await.unwrap().timestamp(),
        signature: "00".repeat(64),
        body_sha256: Sha256::digest(&body).into(),
        said: Said::Ok(body.slice(24..38)),
        body,
        gateway_request_id: None,
        leeway: Duration::from_mins(5),
        again: false,
    };
    settled(store, Entry::Callback(Box::new(news))).await;
    id
}

/// A job that ran and has its result.
pub(crate) async fn succeeded(store: &Store, job: NewJob, request_id: &str) -> (JobId, AttemptId) {
    let id = accepted(store, job).await;
    let attempt = claimed(store).await.attempt;
    told(store, attempt, AttemptEvent::Bound(request(request_id))).await;
    told(store, attempt, AttemptEvent::ResultOk(request(request_id))).await;
    (id, attempt)
}

/// A job that ran at fal and failed for good.
pub(crate) async fn failed(store: &Store, job: NewJob, request_id: &str) -> (JobId, AttemptId) {
    let id = accepted(store, job).await;
    let attempt = claimed(store).await.attempt;
    let failure = Failure { class: ErrorClass::ContentPolicy, charged: Charged::Perhaps };
    told(store, attempt, AttemptEvent::Bound(request(request_id))).await;
    told(store, attempt, AttemptEvent::ResultError(request(request_id), failure)).await;
    (id, attempt)
}

pub(crate) fn request(id: &str) -> RequestId {
    RequestId(id.to_owned())
}

/// Moves the database's time.
pub(crate) async fn advance(store: &Store, by: Duration) {
    sqlx::query("update falconer.clock set ahead_by = ahead_by + make_interval(secs => $1)")
        .bind(by.as_secs_f64())
        .execute(&store.pools.api)
        .await
        .unwrap();
}

async fn settled(store: &Store, entry: Entry) -> Settled {
    settle(&store.pools.work, RETRY, &[entry]).await.unwrap().answers.remove(0)
}
