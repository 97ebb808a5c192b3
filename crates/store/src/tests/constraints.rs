//! Where the code fails, the database refuses: each invariant that is also a constraint, broken by hand.

use super::fixture::*;
use domain::AttemptEvent;
use sqlx::PgPool;

/// Runs a statement that must be refused, and answers with the name of what refused it.
async fn refused(pool: &PgPool, sql: &'static str) -> String {
    let error = sqlx::query(sql).execute(pool).await.expect_err(sql);
    let error = error.as_database_error().expect("Postgres refused it");
    error.constraint().unwrap_or_else(|| error.message()).to_owned()
}

/// Partitions' indexes have names of their own, made from the partition's and the columns'.
fn is_unique_of(name: &str, table: &str) -> bool {
    name.starts_with(table) && (name.ends_with("_idx") || name.ends_with("_pkey"))
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_job_ends_once_and_tells_of_it_once(pool: PgPool) {
    let store = store(&pool);
    succeeded(&store, a_job(), "r-1").await;
    let second_end = "insert into falconer.transitions (job_id, attempt_number, version, at, event, job_from, job_to)
        select job_id, 0, 99, at, 'by_hand', 'succeeded', 'failed' from falconer.transitions where job_to = 'succeeded'";
    assert!(is_unique_of(&refused(&pool, second_end).await, "transitions"), "I03");
    let second_event = "insert into falconer.job_events (job_id, id, project_id, type, created_at)
        select job_id, gen_random_uuid(), project_id, 'job.failed', created_at from falconer.job_events";
    assert!(is_unique_of(&refused(&pool, second_event).await, "job_events"), "I11");
    let same_step = "insert into falconer.transitions (job_id, attempt_number, version, at, event)
        select job_id, attempt_number, version, at, 'by_hand' from falconer.transitions limit 1";
    assert!(is_unique_of(&refused(&pool, same_step).await, "transitions"), "I04");
    assert_eq!(refused(&pool, "update falconer.jobs set winner = null").await, "winner_iff_succeeded");
    assert_eq!(refused(&pool, "update falconer.jobs set finished_at = null").await, "terminal_iff_finished");
    assert_eq!(refused(&pool, "update falconer.jobs set error_class = 'x'").await, "error_iff_failed");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_open_attempt_is_looked_at_and_an_ended_one_has_an_end(pool: PgPool) {
    let store = store(&pool);
    let claimed = submitted(&store, a_job(), "r-1").await;
    let blind = "update falconer.attempts set next_look_at = null";
    assert_eq!(refused(&pool, blind).await, "looked_after_while_open", "I05");
    for column in ["run_deadline", "abandon_at", "lease_until", "fence"] {
        let sql = sqlx::AssertSqlSafe(format!("update falconer.attempts set {column} = null"));
        assert!(sqlx::query(sql).execute(&pool).await.is_err(), "I05: {column}");
    }
    let ended = "update falconer.attempts set state = 'failed'";
    assert_eq!(refused(&pool, ended).await, "finished_iff_terminal");
    let nameless = "update falconer.attempts set request_id = null, bound_by = null";
    assert_eq!(refused(&pool, nameless).await, "submitted_has_request_id");
    let unsourced = "update falconer.attempts set bound_by = null";
    assert_eq!(refused(&pool, unsourced).await, "bound_has_source");
    assert_eq!(attempt_row(&pool, claimed.attempt).await.state, "submitted");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_request_id_is_bound_once_and_only_one_attempt_lives(pool: PgPool) {
    let store = store(&pool);
    let claimed = submitted(&store, a_job(), "r-1").await;
    let elsewhere = "insert into falconer.request_bindings
        select credential_id, request_id, gen_random_uuid(), job_id, bound_at from falconer.request_bindings";
    assert_eq!(refused(&pool, elsewhere).await, "request_bindings_pkey", "I07");

    find(&store, claimed.attempt, AttemptEvent::ResultError(request("r-1"), PASSING)).await;
    advance(&store, std::time::Duration::from_mins(10)).await;
    world::claimed(&store).await;
    let revived = "update falconer.attempts set state = 'submitted', finished_at = null, next_look_at = claimed_at
        where number = 1";
    assert!(is_unique_of(&refused(&pool, revived).await, "attempts"), "I08");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn counts_and_keys_stay_in_range(pool: PgPool) {
    let store = store(&pool);
    opened(&store, a_job()).await;
    for sql in [
        "update falconer.jobs set attempts_made = attempts_max + 1, attempts_opened = 100",
        "update falconer.jobs set attempts_made = attempts_opened + 1",
        "update falconer.jobs set attempts_made = -1",
    ] {
        assert_eq!(refused(&pool, sql).await, "counts_in_range", "{sql}");
    }
    let user = "update falconer.credentials set user_id = 'somebody'";
    assert_eq!(refused(&pool, user).await, "user_id_has_source");
}
