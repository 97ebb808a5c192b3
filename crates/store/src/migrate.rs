//! The migrations, embedded.

use crate::error::Result;
use failpoints::Point;
use sqlx::{Connection, PgConnection, migrate::Migrator};
use std::borrow::Cow;

/// Every migration, forward only. Its own table lives in our schema, so that Falconer can share a database.
pub static MIGRATOR: Migrator = Migrator {
    table_name: Cow::Borrowed("falconer._migrations"),
    create_schemas: Cow::Borrowed(&[Cow::Borrowed("falconer")]),
    ..sqlx::migrate!("../../migrations")
};

/// Whether the schema is what this binary expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    Current,
    /// `falconer migrate` has not run, or ran with an older release.
    Behind {
        applied: usize,
        expected: usize,
    },
}

/// Applies what is missing. Safe to repeat and to run from several processes: an advisory lock lets one through.
pub async fn run(connection: &mut PgConnection) -> std::result::Result<(), sqlx::migrate::MigrateError> {
    // One after the other, so that a test can end the process between two of them.
    for step in MIGRATOR.iter() {
        failpoints::hit(Point::MigrateBeforeStep);
        MIGRATOR.run_to(step.version, &mut *connection).await?;
    }
    failpoints::hit(Point::MigrateAfterLast);
    Ok(())
}

/// Compares the migrations applied with those embedded.
pub async fn state(connection: &mut PgConnection) -> Result<SchemaState> {
    connection.ping().await?;
    let expected = MIGRATOR.iter().count();
    let there: bool = sqlx::query_scalar("select to_regclass('falconer._migrations') is not null")
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        return Ok(SchemaState::Behind { applied: 0, expected });
    }
    let applied: i64 =
        sqlx::query_scalar("select count(*) from falconer._migrations where success").fetch_one(connection).await?;
    let applied = usize::try_from(applied).unwrap_or(0);
    Ok(if applied >= expected { SchemaState::Current } else { SchemaState::Behind { applied, expected } })
}
