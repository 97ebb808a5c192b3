//! Jobs inside a transaction that is somebody else's.

use super::{Accepted, NewJob, insert};
use crate::error::{Error, Result};
use domain::ProjectId;
use rust_decimal::Decimal;
use sqlx::{Connection, PgConnection};

/// Inserts `jobs` inside the caller's own transaction as [`insert`] does, and lets `judge` decide on each answer: its first
/// error takes back all of them.
///
/// After an error nothing is left and the transaction can go on; where the caller stops waiting nothing is left either, and
/// the transaction may be lost. It must have been begun through sqlx, which sets a savepoint here; on a connection without
/// a transaction the jobs are committed.
pub async fn insert_within<T, E: From<Error>>(
    tx: &mut PgConnection,
    jobs: &[NewJob],
    judge: impl Fn(Accepted) -> std::result::Result<T, E>,
) -> std::result::Result<Vec<T>, E> {
    let mut part = tx.begin().await.map_err(Error::from)?;
    let made = match insert(&mut part, jobs).await {
        Ok(answers) => answers.into_iter().map(|answer| judge(answer.accepted)).collect(),
        Err(error) => Err(error.into()),
    };
    match made {
        Ok(_) => part.commit().await.map_err(Error::from)?,
        // The error that is there says more than one of taking it back, after which the connection is lost anyway.
        Err(_) => drop(part.rollback().await),
    }
    made
}

/// Finds the project of that name on a caller's own connection.
pub async fn project(connection: &mut PgConnection, name: &str) -> Result<Option<ProjectId>> {
    let id = sqlx::query_scalar!(r#"select id as "id: ProjectId" from falconer.projects where name = $1"#, name)
        .fetch_optional(connection)
        .await?;
    Ok(id)
}

/// Reads the prices in US dollars on a caller's own connection: model, unit, price of one.
pub async fn dollars(connection: &mut PgConnection) -> Result<Vec<(String, String, Decimal)>> {
    let rows = sqlx::query!("select model, unit, unit_price from falconer.model_prices where currency = 'USD'")
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.model, row.unit, row.unit_price)).collect())
}

/// Wakes the dispatchers of every process when the caller's own transaction commits, and nobody when it rolls back.
pub async fn wake(tx: &mut PgConnection) -> Result<()> {
    sqlx::query!("select pg_notify($1, '')", crate::wake::DISPATCH).execute(tx).await?;
    Ok(())
}
