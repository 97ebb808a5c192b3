//! The library inside a caller's transaction.

use crate::same_rules::pools;
use chrono::TimeDelta;
use domain::ProjectId;
use falconer_submitter::{EnqueueError, JobRequest, Submitter};
use serde_json::json;
use sqlx::{Connection, PgConnection, PgPool};
use std::time::Duration;
use store::accept::Unique;

const ME: ProjectId = ProjectId::DEFAULT;

fn owl() -> JobRequest {
    JobRequest::of("fal-ai/flux/dev", &json!({"prompt": "an owl"})).unwrap()
}

fn unique(key: &str) -> JobRequest {
    JobRequest { unique: Some(Unique { key: key.to_owned(), period: Duration::from_mins(10) }), ..owl() }
}

async fn count(connection: &mut PgConnection, table: &'static str) -> i64 {
    let sql = sqlx::AssertSqlSafe(format!("select count(*) from falconer.{table}"));
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// Jobs, idempotency keys, unique keys.
async fn counts(pool: &PgPool) -> [i64; 3] {
    let mut connection = pool.acquire().await.unwrap();
    let mut counts = [0; 3];
    for (count_of, table) in counts.iter_mut().zip(["jobs", "idempotency_keys", "unique_keys"]) {
        *count_of = count(&mut connection, table).await;
    }
    counts
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_job_lives_and_dies_with_the_callers_transaction(pool: PgPool) {
    let submitter = Submitter::default();
    let mut tx = pool.begin().await.unwrap();
    submitter.enqueue_once(&mut tx, ME, "order 1", unique("u")).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(counts(&pool).await, [0, 0, 0]);

    let mut tx = pool.begin().await.unwrap();
    let job = submitter.enqueue_once(&mut tx, ME, "order 1", unique("u")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(counts(&pool).await, [1, 1, 1]);

    let mut tx = pool.begin().await.unwrap();
    assert_eq!(submitter.enqueue_once(&mut tx, ME, "order 1", unique("u")).await.unwrap(), job);
    assert_eq!(submitter.enqueue(&mut tx, ME, unique("u")).await.unwrap(), job, "the holder of the unique key");
    tx.commit().await.unwrap();
    assert_eq!(counts(&pool).await, [1, 1, 1]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_key_with_another_request_is_refused_and_the_transaction_goes_on(pool: PgPool) {
    let submitter = Submitter::default();
    let mut tx = pool.begin().await.unwrap();
    let first = submitter.enqueue_once(&mut tx, ME, "k", owl()).await.unwrap();
    let other = JobRequest { tags: vec!["x".to_owned()], ..owl() };

    let refused = submitter.enqueue_once(&mut tx, ME, "k", other.clone()).await.unwrap_err();
    let both = [("fresh".to_owned(), owl()), ("k".to_owned(), other)];
    let all_refused = submitter.enqueue_all_once(&mut tx, ME, both).await.unwrap_err();

    for error in [refused, all_refused] {
        assert!(matches!(error, EnqueueError::KeyReused { job } if job == first), "{error:?}");
    }
    submitter.enqueue(&mut tx, ME, owl()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(counts(&pool).await, [2, 1, 0], "nothing of the batch that was refused");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn of_a_batch_that_cannot_be_stored_nothing_is_left(pool: PgPool) {
    let submitter = Submitter::default();
    let mut tx = pool.begin().await.unwrap();
    let stranger = ProjectId(store::fresh_id());

    let keyed = [("a".to_owned(), owl()), ("b".to_owned(), unique("u"))];
    let refused = submitter.enqueue_all_once(&mut tx, stranger, keyed).await.unwrap_err();
    let invalid = JobRequest { tags: vec![String::new()], attempts_max: Some(0), ..owl() };
    let broken = submitter.enqueue_all(&mut tx, ME, [owl(), invalid]).await.unwrap_err();
    let bad_key = submitter.enqueue_once(&mut tx, ME, "ü", owl()).await.unwrap_err();

    assert!(matches!(refused, EnqueueError::Store(store::Error::Row(_))), "{refused:?}");
    let EnqueueError::Invalid(broken) = broken else { panic!("{broken:?}") };
    assert_eq!(broken.0.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), ["max_attempts", "tags"]);
    let EnqueueError::Invalid(bad_key) = bad_key else { panic!("{bad_key:?}") };
    assert_eq!(bad_key.0[0].field, "idempotency_key");
    let made = submitter.enqueue_all(&mut tx, ME, (0..1000).map(|_| owl())).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(made.len(), 1000);
    assert_eq!(counts(&pool).await, [1000, 0, 0]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_caller_who_stops_waiting_leaves_nothing_half_written(pool: PgPool) {
    let submitter = Submitter::default();
    for polls in 1..40 {
        let mut tx = pool.begin().await.unwrap();
        {
            let making = submitter.enqueue_once(&mut tx, ME, "k", unique("u"));
            tokio::pin!(making);
            let mut made = false;
            // Each look lets it come a little further, until one finds it done.
            for _ in 0..polls {
                made = tokio::time::timeout(Duration::from_micros(50), &mut making).await.is_ok();
                if made {
                    break;
                }
            }
            if made {
                break;
            }
        }
        // Where the last answer was under way, the whole transaction is lost, and that is well too.
        let _ = tx.commit().await;
        assert_eq!(counts(&pool).await, [0, 0, 0], "after {polls} looks");
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_callers_search_path_and_isolation_change_nothing(pool: PgPool) {
    let submitter = Submitter::default();
    let mut connection = pool.acquire().await.unwrap();
    // Names of the caller's own that a careless statement would take for ours.
    for sql in [
        "create schema shop",
        "create table shop.jobs (id int)",
        "create function shop.now() returns timestamptz language sql as 'select ''1999-01-01''::timestamptz'",
        "set search_path = shop",
        "set time zone 'Asia/Kathmandu'",
        "set datestyle = 'German'",
        "set intervalstyle = 'sql_standard'",
        "set standard_conforming_strings = off",
    ] {
        sqlx::query(sql).execute(&mut *connection).await.unwrap();
    }
    for isolation in ["read committed", "repeatable read", "serializable"] {
        let begin = sqlx::AssertSqlSafe(format!("begin isolation level {isolation}"));
        let mut tx = connection.begin_with(begin).await.unwrap();
        let request = JobRequest {
            run_at: Some(
                "2100-01-01T00:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap() - TimeDelta::seconds(1),
            ),
            ..unique(isolation)
        };
        let by_rust = submitter.enqueue_once(&mut tx, ME, isolation, request.clone()).await.unwrap();
        assert_eq!(submitter.enqueue_once(&mut tx, ME, isolation, request).await.unwrap(), by_rust);
        let sql = "select falconer.submit_job('default', 'fal-ai/flux/dev', '{\"a\": \"\\\\u0041\\\\\\\"[\"}',
            tags => array['a'], unique_key => $1, unique_for => '10m', idempotency_key => $1)";
        let key = format!("sql {isolation}");
        for _ in 0..2 {
            sqlx::query(sql).bind(&key).execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
    drop(connection);
    assert_eq!(counts(&pool).await, [6, 6, 6]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_snapshot_that_is_too_old_asks_for_the_transaction_again(pool: PgPool) {
    let submitter = Submitter::default();
    let mut old = pool.acquire().await.unwrap();
    let mut tx = old.begin_with("begin isolation level repeatable read").await.unwrap();
    assert_eq!(count(&mut tx, "jobs").await, 0, "this takes the snapshot");
    let mut other = pool.begin().await.unwrap();
    let first = submitter.enqueue_once(&mut other, ME, "k", owl()).await.unwrap();
    other.commit().await.unwrap();

    let late = submitter.enqueue_once(&mut tx, ME, "k", owl()).await.unwrap_err();

    assert!(matches!(late, EnqueueError::Store(store::Error::Repeat(_))), "{late:?}");
    tx.commit().await.unwrap();
    let mut tx = old.begin_with("begin isolation level repeatable read").await.unwrap();
    assert_eq!(submitter.enqueue_once(&mut tx, ME, "k", owl()).await.unwrap(), first);
    tx.commit().await.unwrap();
    assert_eq!(counts(&pool).await, [1, 1, 0]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_a_server_has_published_is_what_the_library_loads(pool: PgPool) {
    let store = store::Store { pools: pools(&pool) };
    let settings = store::accept::SubmitSettings { attempts_max: 3 };
    for models in [&["fal-ai/gone", "fal-ai/old"][..], fal::seeds::models()] {
        store::accept::publish(&store, settings, models).await.unwrap();
    }
    let mut connection = pool.acquire().await.unwrap();
    let submitter = Submitter::load(&mut connection).await.unwrap();
    assert_eq!(submitter.attempts_max, 3);
    assert_eq!(submitter.project(&mut connection, "default").await.unwrap(), Some(ME));
    assert_eq!(submitter.project(&mut connection, "nobody").await.unwrap(), None);
    let listed: Vec<String> =
        sqlx::query_scalar("select model from falconer.seed_models order by model").fetch_all(&pool).await.unwrap();
    assert_eq!(listed, fal::seeds::models());
}

/// The grants are those of docs/enqueue.md.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_role_with_the_rights_of_the_page_can_enqueue(pool: PgPool) {
    let page = include_str!("../../../../docs/enqueue.md");
    let (_, after) = page.split_once("its role needs more").expect("the page says what the library needs");
    let grants = after.split("```").nth(1).expect("in a block of its own").strip_prefix("sql").expect("of SQL");
    let role = format!("library_{}", uuid::Uuid::new_v4().simple());
    let mut connection = pool.acquire().await.unwrap();
    let sql = format!("create role {role}; {}", grants.replace("backend", &role));
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await.unwrap();

    let mut tx = connection.begin().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("set local role {role}"))).execute(&mut *tx).await.unwrap();
    let submitter = Submitter::load(&mut tx).await.unwrap();
    let project = submitter.project(&mut tx, "default").await.unwrap().unwrap();
    let made = submitter.enqueue_once(&mut tx, project, "k", unique("u")).await.unwrap();
    assert_eq!(submitter.enqueue_once(&mut tx, project, "other", unique("u")).await.unwrap(), made);
    submitter.wake(&mut tx).await.unwrap();
    tx.commit().await.unwrap();

    assert_eq!(counts(&pool).await, [1, 2, 1]);
    let drop = sqlx::AssertSqlSafe(format!("drop owned by {role}; drop role {role}"));
    sqlx::raw_sql(drop).execute(&mut *connection).await.unwrap();
}
