//! What a batch costs in statements. For information: the figure is printed, and only its order of magnitude is held.

use super::fixture::*;
use sqlx::{Connection, PgConnection, PgPool};

/// Statements that a batch of callbacks may take, whatever its size.
const STATEMENTS_MAX: i64 = 20;

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_batch_of_callbacks_takes_as_many_statements_as_one(pool: PgPool) {
    let store = store(&pool);
    pin(&store).await;
    let mut batch = Vec::new();
    for n in 0..64 {
        let id = format!("r-{n}");
        let claimed = submitted(&store, a_job(), &id).await;
        batch.push(call(&store, claimed.attempt, &id, ok(r#"{"images": []}"#)).await);
    }
    let single = batch.split_off(63);
    let (one, many) = (statements(&pool, single).await, statements(&pool, batch).await);
    eprintln!("a batch of 1 takes {one} statements, one of 63 takes {many}");
    assert_eq!(one, many);
    assert!(many <= STATEMENTS_MAX, "{many}");
}

/// Counts the statements that settling prepares on a fresh connection: each is one round trip, and none runs twice.
async fn statements(pool: &PgPool, batch: Vec<crate::settle::CallbackNews>) -> i64 {
    let fresh = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .connect_with((*pool.connect_options()).clone())
        .await
        .unwrap();
    let entries: Vec<_> = batch.into_iter().map(|news| crate::settle::Entry::Callback(Box::new(news))).collect();
    crate::settle::settle(&fresh, RETRY, &entries).await.unwrap();
    let mut connection: PgConnection = fresh.acquire().await.unwrap().detach();
    let count = sqlx::query_scalar("select count(*) from pg_prepared_statements where statement ~ 'falconer'")
        .persistent(false)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    count
}
