//! A batch whose COMMIT got no answer is run again: nothing changes.

use crate::settle::{AttemptNews, Entry, Guard, JobNews, Source};
use crate::tests::{fixture::*, invariants};
use domain::{AttemptEvent, ErrorClass, JobEvent};
use sqlx::PgPool;

/// Everything that is stored, but for the callbacks' place on disk.
async fn everything(pool: &PgPool) -> Vec<String> {
    let mut rows = Vec::new();
    for table in ["jobs", "attempts", "results", "transitions", "job_events", "ledger", "callbacks", "request_bindings"]
    {
        let sql = format!("select {table}::text from falconer.{table} order by 1");
        let of_table: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
        rows.extend(of_table.into_iter().map(|row| format!("{table} {row}")));
    }
    rows
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_batch_that_is_settled_again_changes_nothing(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let mut claimed = Vec::new();
    for _ in 0..8 {
        claimed.push(opened(&store, a_job()).await);
    }
    let lease = |n: usize, event| {
        let guard = Guard::Lease { fence: claimed[n].fence };
        Entry::Attempt(Box::new(AttemptNews::of(claimed[n].attempt, Some(event), guard, Source::Submit)))
    };
    let learnt = |n: usize, event| Entry::Attempt(Box::new(evidence(claimed[n].attempt, event, Source::Submit)));
    let called = async |n: usize, said| {
        Entry::Callback(Box::new(call(&store, claimed[n].attempt, &format!("r-{n}"), said).await))
    };
    let entries = [
        lease(0, AttemptEvent::NotSent),
        lease(1, AttemptEvent::PushedBack { class: ErrorClass::RateLimited }),
        lease(2, AttemptEvent::NoAnswer),
        learnt(3, AttemptEvent::Bound(request("r-3"))),
        learnt(4, AttemptEvent::ResultOk(request("r-4"))),
        called(5, ok("{}")).await,
        called(6, error(LASTING)).await,
        called(6, ok("{}")).await,
        Entry::Job(JobNews { job: claimed[7].job, project: None, event: JobEvent::CancelRequested }),
    ];
    settle_all(&store, &entries).await;
    let before = everything(&pool).await;

    settle_all(&store, &entries).await;
    assert_eq!(everything(&pool).await, before);
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_whole_inbox_replayed_changes_no_job(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let mut inbox = Vec::new();
    for (n, said) in [ok("{}"), error(LASTING), error(PASSING), ok("[]")].into_iter().enumerate() {
        let id = format!("r-{n}");
        let claimed = submitted(&store, a_job(), &id).await;
        inbox.push(call(&store, claimed.attempt, &id, said).await);
    }
    receive_all(&store, inbox.clone()).await;
    let jobs = "select md5(string_agg(j::text, ',' order by id)) from falconer.jobs j";
    let before: String = sqlx::query_scalar(jobs).fetch_one(&pool).await.unwrap();

    for news in &mut inbox {
        news.id = domain::CallbackId(crate::fresh_id());
        news.signed_at -= 3600;
    }
    receive_all(&store, inbox).await;
    assert_eq!(sqlx::query_scalar::<_, String>(jobs).fetch_one(&pool).await.unwrap(), before);
    invariants::hold(&pool).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_same_callback_twice_in_one_batch_is_one_row(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let claimed = submitted(&store, a_job(), "r-1").await;
    let news = call(&store, claimed.attempt, "r-1", ok("{}")).await;
    receive_all(&store, vec![news.clone(), news]).await;
    let row: (String, i64) =
        sqlx::query_as("select min(disposition), count(*) from falconer.callbacks").fetch_one(&pool).await.unwrap();
    assert_eq!(row, ("applied".to_owned(), 1));
}
