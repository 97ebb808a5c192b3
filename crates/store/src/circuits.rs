//! Circuits: while fal refuses a key or a model keeps failing, nothing is claimed for it.

use crate::error::Result;
use domain::CredentialId;
use sqlx::PgConnection;
use std::time::Duration;

/// Trouble with a credential, or with one model of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    pub credential: CredentialId,
    /// Empty where the whole credential is refused.
    pub model: String,
    pub cause: String,
    /// Before this has passed, nothing is tried again.
    pub pause: Duration,
}

/// A circuit to open.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) trouble: Trouble,
    /// What fal asked us to wait, which no success of a submit that was under way cuts short. Zero where it did not ask.
    pub(crate) asked: Duration,
}

/// Opens the circuits, or keeps them open longer. `openings` must be sorted and without two of one circuit.
pub(crate) async fn open(tx: &mut PgConnection, openings: &[Opening]) -> Result<()> {
    let credentials: Vec<uuid::Uuid> = openings.iter().map(|opening| opening.trouble.credential.0).collect();
    let models: Vec<String> = openings.iter().map(|opening| opening.trouble.model.clone()).collect();
    let causes: Vec<String> = openings.iter().map(|opening| opening.trouble.cause.clone()).collect();
    let pauses: Vec<f64> = openings.iter().map(|opening| opening.trouble.pause.as_secs_f64()).collect();
    let asked: Vec<f64> = openings.iter().map(|opening| opening.asked.as_secs_f64()).collect();
    sqlx::query!(
        "insert into falconer.circuits as c (credential_id, model, failures, opened_at, open_until, not_before, cause)
         select t.credential_id, t.model, 1, clock.now, clock.now + make_interval(secs => t.pause),
             clock.now + make_interval(secs => t.asked), t.cause
         from unnest($1::uuid[], $2::text[], $3::text[], $4::float8[], $5::float8[])
                 as t (credential_id, model, cause, pause, asked),
              (select falconer.now() as now offset 0) as clock
         on conflict (credential_id, model) do update
         set failures = c.failures + 1, open_until = greatest(c.not_before, excluded.open_until),
             not_before = greatest(c.not_before, excluded.not_before), cause = excluded.cause",
        &credentials,
        &models,
        &causes,
        &pauses,
        &asked,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Closes the circuits of models that fal has just accepted, and of their credential, unless fal asked us to wait: the
/// submit may have been under way when it did. Cheap when none is open.
pub(crate) async fn close(tx: &mut PgConnection, credential: CredentialId, models: &[String]) -> Result<u64> {
    let closed = sqlx::query!(
        "delete from falconer.circuits
         where credential_id = $1 and (model = '' or model = any($2)) and not_before <= falconer.now()",
        credential.0,
        models,
    )
    .execute(tx)
    .await?;
    Ok(closed.rows_affected())
}

/// One open circuit, as an operator sees it.
#[derive(Clone, Debug)]
pub struct OpenCircuit {
    pub credential: CredentialId,
    pub model: String,
    pub failures: i32,
    pub opened_at: chrono::DateTime<chrono::Utc>,
    pub open_until: chrono::DateTime<chrono::Utc>,
    pub cause: String,
}

/// Lists every open circuit.
pub async fn list(store: &crate::Store) -> Result<Vec<OpenCircuit>> {
    let rows = sqlx::query_as!(
        OpenCircuit,
        r#"select credential_id as "credential: CredentialId", model, failures, opened_at, open_until, cause
           from falconer.circuits order by credential_id, model"#
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(rows)
}
