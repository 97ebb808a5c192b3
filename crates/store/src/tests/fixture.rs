//! Claims and news in the few words that the stories need. Databases and jobs come from [`world`].

pub(crate) use crate::jobs::tests::world::{self, *};

use crate::{
    Store,
    accept::{self, Accepted, NewJob},
    claim::{ClaimRequest, Claimed, claim},
    settle::{
        AttemptNews, AttemptOutcome, CallbackNews, Disposition, Entry, Guard, JobNews, JobOutcome, Said, Settled,
        Source, settle,
    },
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{
    AttemptEvent, AttemptId, CallbackId, Charged, CredentialId, ErrorClass, Failure, JobEvent, JobId, ProjectId,
    Timeouts,
};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

pub(crate) const TIMEOUTS: Timeouts = Timeouts {
    submit: Duration::from_secs(15),
    lease: Duration::from_secs(30),
    start: Duration::from_mins(10),
    run: Duration::from_hours(1),
    abandon_after: Duration::from_hours(3),
    history_after: Duration::from_secs(30),
};
/// Fails in passing: another attempt follows.
pub(crate) const PASSING: Failure = Failure { class: ErrorClass::Infrastructure, charged: Charged::No };
/// Fails for good, and fal may bill it.
pub(crate) const LASTING: Failure = Failure { class: ErrorClass::ContentPolicy, charged: Charged::Perhaps };
pub(crate) const OURS: &str = "user_ours";

/// What a story looks at in the row of an attempt.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(crate) struct AttemptRow {
    pub(crate) state: String,
    pub(crate) version: i32,
    pub(crate) number: i16,
    pub(crate) counted: bool,
    pub(crate) request_id: Option<String>,
    pub(crate) bound_by: Option<String>,
    pub(crate) candidate_request_id: Option<String>,
    pub(crate) gateway_request_id: Option<String>,
    pub(crate) next_look_at: Option<DateTime<Utc>>,
    pub(crate) run_deadline: DateTime<Utc>,
    pub(crate) superseded_at: Option<DateTime<Utc>>,
    pub(crate) superseded_ok_at: Option<DateTime<Utc>>,
    pub(crate) cancel_requested_at: Option<DateTime<Utc>>,
    pub(crate) error_class: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) charged: Option<String>,
    pub(crate) result_from: Option<String>,
}

/// What a story looks at in the row of a job.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(crate) struct JobRow {
    pub(crate) state: String,
    pub(crate) version: i32,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) attempts_opened: i16,
    pub(crate) attempts_made: i16,
    pub(crate) cancel_requested_at: Option<DateTime<Utc>>,
    pub(crate) winner: Option<Uuid>,
    pub(crate) error_class: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) error_charged: Option<String>,
}

pub(crate) async fn attempt_row(pool: &PgPool, id: AttemptId) -> AttemptRow {
    sqlx::query_as("select * from falconer.attempts where id = $1").bind(id.0).fetch_one(pool).await.unwrap()
}

pub(crate) async fn job_row(pool: &PgPool, id: JobId) -> JobRow {
    sqlx::query_as("select * from falconer.jobs where id = $1").bind(id.0).fetch_one(pool).await.unwrap()
}

/// The states of an attempt and its job.
pub(crate) async fn states(pool: &PgPool, job: JobId, attempt: AttemptId) -> (String, String) {
    (attempt_row(pool, attempt).await.state, job_row(pool, job).await.state)
}

pub(crate) async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

pub(crate) async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::query(sql).execute(pool).await.unwrap();
}

/// Inserts jobs in one transaction and says what became of each.
pub(crate) async fn handed_in(store: &Store, jobs: &[NewJob]) -> Vec<Accepted> {
    let mut tx = store.pools.api.begin().await.unwrap();
    let answers = accept::insert(&mut tx, jobs).await.unwrap();
    tx.commit().await.unwrap();
    answers.into_iter().map(|answer| answer.accepted).collect()
}

/// Claims up to `room` jobs of `credential` within `places`.
pub(crate) async fn claim_of(store: &Store, credential: CredentialId, places: u32, room: usize) -> Vec<Claimed> {
    let fresh: Vec<(AttemptId, i64)> = (0..room).map(|_| (AttemptId(crate::fresh_id()), 7)).collect();
    let request = ClaimRequest { credential, owner: crate::fresh_id(), places, timeouts: &TIMEOUTS, fresh: &fresh };
    claim(store, &request).await.unwrap()
}

pub(crate) async fn claim_up_to(store: &Store, places: u32, room: usize) -> Vec<Claimed> {
    claim_of(store, CredentialId::DEFAULT, places, room).await
}

/// A job that was accepted and claimed.
pub(crate) async fn opened(store: &Store, job: NewJob) -> Claimed {
    let id = accepted(store, job).await;
    let claimed = claimed(store).await;
    assert_eq!(claimed.job, id, "no other job was ready");
    claimed
}

/// A job that fal has taken by the name of `request_id`.
pub(crate) async fn submitted(store: &Store, job: NewJob, request_id: &str) -> Claimed {
    let claimed = opened(store, job).await;
    learn(store, claimed.attempt, AttemptEvent::Bound(request(request_id))).await;
    claimed
}

/// A job of whose attempt nobody knows what became.
pub(crate) async fn unknown(store: &Store, job: NewJob) -> Claimed {
    let claimed = opened(store, job).await;
    decide(store, &claimed, AttemptEvent::NoAnswer).await;
    claimed
}

pub(crate) async fn settle_all(store: &Store, entries: &[Entry]) -> Vec<Settled> {
    settle(&store.pools.work, RETRY, entries).await.unwrap().answers
}

pub(crate) async fn tell(store: &Store, news: AttemptNews) -> AttemptOutcome {
    match settle_all(store, &[Entry::Attempt(Box::new(news))]).await.remove(0) {
        Settled::Attempt(outcome) => outcome,
        other => panic!("news of an attempt were answered with {other:?}"),
    }
}

/// Evidence, as the submitter brings it.
pub(crate) async fn learn(store: &Store, attempt: AttemptId, event: AttemptEvent) -> AttemptOutcome {
    tell(store, evidence(attempt, event, Source::Submit)).await
}

/// Evidence, as a look brings it.
pub(crate) async fn find(store: &Store, attempt: AttemptId, event: AttemptEvent) -> AttemptOutcome {
    tell(store, evidence(attempt, event, Source::Poll)).await
}

pub(crate) fn evidence(attempt: AttemptId, event: AttemptEvent, source: Source) -> AttemptNews {
    let result = matches!(event, AttemptEvent::ResultOk(_)).then(|| Bytes::from_static(br#"{"images": []}"#));
    AttemptNews { result, ..AttemptNews::of(attempt, Some(event), Guard::Evidence, source) }
}

/// A decision of whoever holds the claim.
pub(crate) async fn decide(store: &Store, claimed: &Claimed, event: AttemptEvent) -> AttemptOutcome {
    let guard = Guard::Lease { fence: claimed.fence };
    tell(store, AttemptNews::of(claimed.attempt, Some(event), guard, Source::Submit)).await
}

/// A decision of the reconciler, who read the attempt at `version`.
pub(crate) async fn decide_at(store: &Store, attempt: AttemptId, version: i32, event: AttemptEvent) -> AttemptOutcome {
    tell(store, AttemptNews::of(attempt, Some(event), Guard::Version(version), Source::Poll)).await
}

pub(crate) async fn give_up(store: &Store, pool: &PgPool, attempt: AttemptId) -> AttemptOutcome {
    let version = attempt_row(pool, attempt).await.version;
    decide_at(store, attempt, version, AttemptEvent::GivenUp).await
}

pub(crate) async fn wish(store: &Store, job: JobId, event: JobEvent) -> JobOutcome {
    let entry = Entry::Job(JobNews { job, project: None, event });
    match settle_all(store, &[entry]).await.remove(0) {
        Settled::Job(outcome) => outcome,
        other => panic!("a wish was answered with {other:?}"),
    }
}

pub(crate) async fn cancel(store: &Store, job: JobId) -> JobOutcome {
    wish(store, job, JobEvent::CancelRequested).await
}

/// Pins our user id, so that callbacks count.
pub(crate) async fn pin(store: &Store) {
    crate::credentials::repin(store, CredentialId::DEFAULT, Some(OURS), &crate::audit::By::command_line("test"))
        .await
        .unwrap();
}

pub(crate) fn ok(payload: &'static str) -> Said {
    Said::Ok(Bytes::from_static(payload.as_bytes()))
}

pub(crate) fn error(failure: Failure) -> Said {
    Said::Error { failure, message: "as fal said".to_owned() }
}

/// A callback that fal signed a moment ago, for us.
pub(crate) async fn call(store: &Store, attempt: AttemptId, request_id: &str, said: Said) -> CallbackNews {
    let body = Bytes::from(format!("{request_id} {said:?}"));
    CallbackNews {
        id: CallbackId(crate::fresh_id()),
        credential: CredentialId::DEFAULT,
        attempt,
        request_id: request(request_id),
        user_id: OURS.to_owned(),
        signed_at: store.now().await.unwrap().timestamp(),
        signature: "00".repeat(64),
        body_sha256: Sha256::digest(&body).into(),
        body,
        gateway_request_id: None,
        said,
        leeway: Duration::from_mins(5),
        again: false,
    }
}

pub(crate) async fn receive(store: &Store, news: CallbackNews) -> Disposition {
    receive_all(store, vec![news]).await.remove(0)
}

/// Settles callbacks in one batch.
pub(crate) async fn receive_all(store: &Store, news: Vec<CallbackNews>) -> Vec<Disposition> {
    let entries: Vec<Entry> = news.into_iter().map(|news| Entry::Callback(Box::new(news))).collect();
    let answers = settle_all(store, &entries).await;
    let dispositions = answers.into_iter().map(|answer| match answer {
        Settled::Callback(disposition) => disposition,
        other => panic!("a callback was answered with {other:?}"),
    });
    dispositions.collect()
}

/// The lines of money of an attempt: kind, amount and basis.
pub(crate) async fn money(pool: &PgPool, attempt: AttemptId) -> Vec<(String, Option<String>, String)> {
    sqlx::query_as(
        "select kind, trim_scale(amount)::text, basis from falconer.ledger where attempt_id = $1 order by kind",
    )
    .bind(attempt.0)
    .fetch_all(pool)
    .await
    .unwrap()
}

pub(crate) async fn kinds(pool: &PgPool, attempt: AttemptId) -> Vec<String> {
    money(pool, attempt).await.into_iter().map(|line| line.0).collect()
}

/// Makes a second fal account.
pub(crate) async fn another_credential(pool: &PgPool) -> CredentialId {
    let id = CredentialId(crate::fresh_id());
    sqlx::query("insert into falconer.credentials (id, name, created_at) values ($1, 'second', falconer.now())")
        .bind(id.0)
        .execute(pool)
        .await
        .unwrap();
    id
}

pub(crate) async fn another_project(store: &Store) -> ProjectId {
    crate::projects::find_or_insert(store, "other").await.unwrap()
}
