//! Jobs in: one key is one job, whatever is repeated.

use super::*;
use crate::tests::fixture::*;
use domain::AttemptEvent;
use serde_json::json;
use sqlx::PgPool;

const JOBS: &str = "select count(*) from falconer.jobs";
const HOUR: Duration = Duration::from_hours(1);

fn keyed(key: &str, fingerprint: u8) -> NewJob {
    let idempotency = Idempotency { key: key.to_owned(), fingerprint: [fingerprint; 32], reset_failed: false };
    NewJob { idempotency: Some(idempotency), ..a_job() }
}

fn resetting(key: &str, fingerprint: u8) -> NewJob {
    let mut job = keyed(key, fingerprint);
    job.idempotency.as_mut().unwrap().reset_failed = true;
    job
}

fn unique(key: &str, period: Duration) -> NewJob {
    NewJob { unique: Some(Unique { key: key.to_owned(), period }), ..a_job() }
}

async fn one(store: &Store, job: &NewJob) -> Accepted {
    handed_in(store, std::slice::from_ref(job)).await[0]
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_same_key_and_body_is_the_same_job(pool: PgPool) {
    let store = store(&pool);
    let first = keyed("k", 1);
    assert_eq!(one(&store, &first).await, Accepted::Created(first.id));
    assert_eq!(one(&store, &keyed("k", 1)).await, Accepted::Replayed(first.id));
    assert_eq!(count(&pool, JOBS).await, 1);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_same_key_with_another_body_makes_nothing(pool: PgPool) {
    let store = store(&pool);
    let first = keyed("k", 1);
    one(&store, &first).await;
    assert_eq!(one(&store, &keyed("k", 2)).await, Accepted::KeyReused(first.id));
    assert_eq!(one(&store, &keyed("k", 1)).await, Accepted::Replayed(first.id), "the first is untouched");
    assert_eq!(count(&pool, JOBS).await, 1);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn another_projects_key_is_another_key(pool: PgPool) {
    let store = store(&pool);
    one(&store, &keyed("k", 1)).await;
    let theirs = NewJob { project: another_project(&store).await, ..keyed("k", 2) };
    assert_eq!(one(&store, &theirs).await, Accepted::Created(theirs.id));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_key_is_free_again_when_its_time_is_over(pool: PgPool) {
    let store = store(&pool);
    let first = keyed("k", 1);
    one(&store, &first).await;
    advance(&store, KEY_LIFE.saturating_sub(Duration::from_secs(1))).await;
    assert_eq!(one(&store, &keyed("k", 1)).await, Accepted::Replayed(first.id));
    advance(&store, Duration::from_secs(1)).await;
    let second = keyed("k", 2);
    assert_eq!(one(&store, &second).await, Accepted::Created(second.id));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_failed_job_frees_its_key_only_when_asked(pool: PgPool) {
    let store = store(&pool);
    let first = keyed("k", 1);
    let claimed = opened(&store, first.clone()).await;
    assert_eq!(one(&store, &resetting("k", 1)).await, Accepted::Replayed(first.id), "it has not failed");
    decide(&store, &claimed, AttemptEvent::Refused(LASTING)).await;
    assert_eq!(one(&store, &keyed("k", 1)).await, Accepted::Replayed(first.id));
    let second = resetting("k", 2);
    assert_eq!(one(&store, &second).await, Accepted::Created(second.id));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn repeats_within_one_batch_are_one_job(pool: PgPool) {
    let store = store(&pool);
    let jobs = [keyed("k", 1), keyed("k", 1), keyed("k", 2), a_job()];
    let first = jobs[0].id;
    let expected = [
        Accepted::Created(first),
        Accepted::Replayed(first),
        Accepted::KeyReused(first),
        Accepted::Created(jobs[3].id),
    ];
    assert_eq!(handed_in(&store, &jobs).await, expected);
    assert_eq!(count(&pool, JOBS).await, 2);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn many_at_once_with_one_key_make_one_job(pool: PgPool) {
    let store = store(&pool);
    for round in 0..20 {
        let job = || keyed(&format!("k-{round}"), 1);
        let jobs = [job(), job(), job(), job()];
        let answers = futures::future::join_all(jobs.iter().map(|job| one(&store, job))).await;
        let created = answers.iter().filter(|answer| matches!(answer, Accepted::Created(_))).count();
        assert_eq!(created, 1, "{answers:?}");
        assert!(answers.iter().all(|answer| answer.job() == answers[0].job()), "{answers:?}");
    }
    assert_eq!(count(&pool, JOBS).await, 20);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_unique_key_holds_for_its_period(pool: PgPool) {
    let store = store(&pool);
    let first = unique("u", HOUR);
    assert_eq!(one(&store, &first).await, Accepted::Created(first.id));
    advance(&store, Duration::from_secs(3599)).await;
    assert_eq!(one(&store, &unique("u", HOUR)).await, Accepted::NotUnique(first.id));
    advance(&store, Duration::from_secs(1)).await;
    let second = unique("u", HOUR);
    assert_eq!(one(&store, &second).await, Accepted::Created(second.id));
    assert_eq!(one(&store, &unique("u", HOUR)).await, Accepted::NotUnique(second.id));
    assert_eq!(count(&pool, JOBS).await, 2);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn of_equal_unique_keys_in_one_batch_one_is_made(pool: PgPool) {
    let store = store(&pool);
    let jobs = [unique("u", HOUR), unique("u", HOUR)];
    let first = jobs[0].id;
    assert_eq!(handed_in(&store, &jobs).await, [Accepted::Created(first), Accepted::NotUnique(first)]);
    assert_eq!(count(&pool, JOBS).await, 1);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_idempotency_key_never_leads_to_a_job_that_was_not_made(pool: PgPool) {
    let store = store(&pool);
    let holder = unique("u", HOUR);
    one(&store, &holder).await;
    let both = |fingerprint| NewJob { unique: holder.unique.clone(), ..keyed("k", fingerprint) };
    let answers = handed_in(&store, &[both(1), both(1), both(2)]).await;
    let id = holder.id;
    assert_eq!(answers, [Accepted::NotUnique(id), Accepted::Replayed(id), Accepted::KeyReused(id)]);
    assert_eq!(one(&store, &both(1)).await, Accepted::Replayed(id));
    assert_eq!(one(&store, &both(2)).await, Accepted::KeyReused(id));
    let dangling = "select count(*) from falconer.idempotency_keys k
        where not exists (select from falconer.jobs j where j.id = k.job_id)";
    assert_eq!(count(&pool, dangling).await, 0);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_batch_whose_commit_got_no_answer_makes_nothing_twice(pool: PgPool) {
    let store = store(&pool);
    let jobs = [a_job(), keyed("k", 1), unique("u", HOUR), NewJob { unique: None, ..resetting("r", 1) }];
    let first = handed_in(&store, &jobs).await;
    assert!(first.iter().all(|answer| matches!(answer, Accepted::Created(_))));
    assert_eq!(handed_in(&store, &jobs).await, first);
    assert_eq!(count(&pool, JOBS).await, 4);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_job_for_later_is_scheduled_and_one_for_the_past_is_ready(pool: PgPool) {
    let store = store(&pool);
    let now = store.now().await.unwrap();
    let later = accepted(&store, NewJob { run_at: Some(now + HOUR), ..a_job() }).await;
    let past = accepted(&store, NewJob { run_at: Some(now - HOUR), ..a_job() }).await;
    let (later, past) = (job_row(&pool, later).await, job_row(&pool, past).await);
    // Postgres keeps microseconds.
    assert_eq!((later.state.as_str(), later.run_at.timestamp_micros()), ("scheduled", (now + HOUR).timestamp_micros()));
    assert_eq!(past.state, "queued");
    assert!(past.run_at >= now, "nobody overtakes by a date in the past");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_the_caller_rolls_back_leaves_nothing(pool: PgPool) {
    let store = store(&pool);
    let mut tx = pool.begin().await.unwrap();
    let job = NewJob { unique: unique("u", HOUR).unique, ..keyed("k", 1) };
    insert(&mut tx, &[job]).await.unwrap();
    tx.rollback().await.unwrap();
    for table in ["jobs", "idempotency_keys", "unique_keys", "lanes"] {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from falconer.{table}"));
        let rows: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    let again = keyed("k", 2);
    assert_eq!(one(&store, &again).await, Accepted::Created(again.id));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_the_caller_sent_is_stored_as_it_was_sent(pool: PgPool) {
    let store = store(&pool);
    let input = Bytes::from_static(br#"{ "seed": 17454220438242315174, "b": "\u0000", "n": 1e1000000 }"#);
    let tags = vec!["b".to_owned(), "a".to_owned(), "ü, \"{}".to_owned()];
    let job = NewJob { input: input.clone(), tags: tags.clone(), metadata: json!({"order": 1}), ..a_job() };
    accepted(&store, job).await;
    let row: (Vec<u8>, Vec<String>, serde_json::Value) =
        sqlx::query_as("select input, tags, metadata from falconer.jobs").fetch_one(&pool).await.unwrap();
    assert_eq!(row, (input.to_vec(), tags, json!({"order": 1})));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_acceptor_fails_the_one_job_that_cannot_be_stored(pool: PgPool) {
    let store = store(&pool);
    let (tasks, stop, wakes) = (TaskTracker::new(), CancellationToken::new(), Wakes::default());
    let acceptor = start(&store, &wakes, &tasks, &stop);
    let bad = NewJob { metadata: json!({"a": "\u{0}"}), ..a_job() };
    let jobs: Vec<NewJob> = (0..7).map(|_| a_job()).chain([bad.clone()]).collect();
    let answers = futures::future::join_all(jobs.iter().map(|job| acceptor.submit(job.clone()))).await;
    for (job, answer) in jobs.iter().zip(answers) {
        assert_eq!(answer.is_err(), job.id == bad.id, "{answer:?}");
    }
    assert_eq!(count(&pool, JOBS).await, 7);
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    assert!(matches!(acceptor.submit(a_job()).await, Err(crate::Error::Stopping)));
}
