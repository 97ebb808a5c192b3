use super::*;
use crate::{
    accept::{Idempotency, NewJob, Unique},
    jobs::tests::world,
};
use sqlx::PgPool;

const DAY: Duration = Duration::from_hours(24);

async fn count(pool: &PgPool, table: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from falconer.{table}"))).fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_week_goes_once_its_last_job_has_ended(pool: PgPool) {
    let (store, keep) = (world::store(&pool), Retention::default());
    world::succeeded(&store, world::a_job(), "r-1").await;
    let open = world::accepted(&store, world::a_job()).await;
    assert_eq!(drop_partitions(&store, &keep).await.unwrap(), [""; 0]);

    world::advance(&store, DAY * 40).await;
    drop_partitions(&store, &keep).await.unwrap();
    assert_eq!(count(&pool, "jobs").await, 2, "one of them is open");
    world::cancelled(&store, open).await;
    let dropped = drop_partitions(&store, &keep).await.unwrap();
    assert_eq!(dropped.iter().filter(|name| name.starts_with("jobs_")).count() * 6, dropped.len());
    for table in ["jobs", "attempts", "results", "transitions", "job_events", "ledger"] {
        assert_eq!(count(&pool, table).await, 0, "{table}");
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn callbacks_go_before_the_jobs_they_spoke_of(pool: PgPool) {
    let (store, keep) = (world::store(&pool), Retention::default());
    world::accepted(&store, world::a_job()).await;
    let attempt = world::claimed(&store).await.attempt;
    world::called_back(&store, attempt, "r-1").await;
    world::advance(&store, DAY * 9).await;
    drop_partitions(&store, &keep).await.unwrap();
    assert_eq!((count(&pool, "callbacks").await, count(&pool, "jobs").await), (0, 1));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_coming_weeks_are_there_before_they_come(pool: PgPool) {
    let store = world::store(&pool);
    ensure_partitions(&store).await.unwrap();
    assert_eq!(ensure_partitions(&store).await.unwrap(), 0, "safe to repeat");
    world::advance(&store, DAY * 7).await;
    assert!(ensure_partitions(&store).await.unwrap() > 0);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn keys_go_when_their_time_is_over_and_bindings_with_their_attempts(pool: PgPool) {
    let (store, keep) = (world::store(&pool), Retention::default());
    let idempotency = Idempotency { key: "k".to_owned(), fingerprint: [0; 32], reset_failed: false };
    let unique = Unique { key: "u".to_owned(), period: Duration::from_hours(1) };
    let job = NewJob { idempotency: Some(idempotency), unique: Some(unique), ..world::a_job() };
    world::succeeded(&store, job, "r-1").await;
    assert_eq!(delete_expired(&store, &keep, 10).await.unwrap(), Removed::default());

    world::advance(&store, DAY * 100).await;
    let removed = delete_expired(&store, &keep, 10).await.unwrap();
    assert_eq!((removed.idempotency_keys, removed.unique_keys, removed.request_bindings), (1, 1, 0));
    drop_partitions(&store, &keep).await.unwrap();
    assert_eq!(delete_expired(&store, &keep, 10).await.unwrap().request_bindings, 1);
}
