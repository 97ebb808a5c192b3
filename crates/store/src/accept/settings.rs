//! What `falconer.submit_job` and the library cannot know by themselves: settings of the server, and lists that are code.

use crate::{Store, error::Result};
use sqlx::PgConnection;

/// What a job gets that says nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmitSettings {
    /// From 1 to 100.
    pub attempts_max: u16,
}

/// Writes the settings and the models that take a seed, so that jobs from SQL are made as jobs over REST are. Of processes
/// whose settings differ, the last that started counts. Running it again changes nothing.
pub async fn publish(store: &Store, settings: SubmitSettings, seed_models: &[&str]) -> Result<()> {
    let mut models: Vec<String> = seed_models.iter().map(|model| (*model).to_owned()).collect();
    models.sort();
    let mut tx = store.pools.maintenance.begin().await?;
    // The one row is locked first, so that two processes write one after the other.
    sqlx::query!(
        "update falconer.submit_settings set attempts_max = $1",
        i16::try_from(settings.attempts_max).unwrap_or(i16::MAX),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("delete from falconer.seed_models where model <> all($1)", &models).execute(&mut *tx).await?;
    sqlx::query!("insert into falconer.seed_models (model) select unnest($1::text[]) on conflict do nothing", &models,)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Reads the settings on a caller's own connection.
pub async fn settings(connection: &mut PgConnection) -> Result<SubmitSettings> {
    let attempts_max =
        sqlx::query_scalar!("select attempts_max from falconer.submit_settings").fetch_one(connection).await?;
    Ok(SubmitSettings { attempts_max: attempts_max.unsigned_abs() })
}
