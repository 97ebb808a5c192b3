//! A migration that dies on the way: what it has done stays done, the next run does the rest, and a server starts.

use super::sweep::{HITS, aborted, print_head, print_row};
use failpoints::Point;
use sqlx::Connection as _;
use std::time::{Duration, Instant};
use store::migrate::SchemaState;
use testkit::{Database, World};

pub(super) const POINTS: &[Point] = &[Point::MigrateBeforeStep, Point::MigrateAfterLast];

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_dies_between_two_steps_is_finished_by_the_next() {
    print_head();
    let point = Point::MigrateBeforeStep;
    let steps = store::MIGRATOR.iter().count();
    for hit in HITS {
        // There may be fewer steps than hits: then the last one.
        let hit = hit.min(u32::try_from(steps).expect("there are few steps"));
        let database = Database::create_empty().await.expect("a database");
        let died_after = die(&database, point, hit).await;
        let done = usize::try_from(hit - 1).expect("a small number");
        let expected = steps;
        assert_eq!(state(&database).await, SchemaState::Behind { applied: done, expected });
        finish(database, point, hit, died_after).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_dies_after_the_last_step_has_done_its_work() {
    print_head();
    let point = Point::MigrateAfterLast;
    for hit in HITS {
        let database = Database::create_empty().await.expect("a database");
        // It is passed once in a run, so the later hits come in later runs.
        for _ in 1..hit {
            assert!(database.migrate("").await.expect("falconer runs").success());
        }
        let died_after = die(&database, point, 1).await;
        assert_eq!(state(&database).await, SchemaState::Current);
        finish(database, point, hit, died_after).await;
    }
}

async fn die(database: &Database, point: Point, hit: u32) -> Duration {
    let began = Instant::now();
    let ended = database.migrate(&format!("{}:{hit}", point.name())).await.expect("falconer runs");
    aborted(ended, point.name());
    began.elapsed()
}

async fn finish(database: Database, point: Point, hit: u32, died_after: Duration) {
    let began = Instant::now();
    assert!(database.migrate("").await.expect("falconer runs").success());
    assert_eq!(state(&database).await, SchemaState::Current);
    let world = World::builder().start_on(database).await;
    let id = world.submit_prompt("an owl").await;
    world.wait_ended_as(id, "succeeded").await;
    world.drain_and_check().await;
    print_row(point.name(), hit, died_after, began.elapsed());
}

async fn state(database: &Database) -> SchemaState {
    let mut connection = sqlx::PgConnection::connect(database.url().as_str()).await.expect("the database answers");
    store::migrate::state(&mut connection).await.expect("the database answers")
}
