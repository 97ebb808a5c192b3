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

/// Opens the circuits, or keeps them open longer; never shorter. `troubles` must be sorted and without two of one
/// circuit.
pub(crate) async fn open(tx: &mut PgConnection, troubles: &[Trouble]) -> Result<()> {
    let credentials: Vec<uuid::Uuid> = troubles.iter().map(|trouble| trouble.credential.0).collect();
    let models: Vec<String> = troubles.iter().map(|trouble| trouble.model.clone()).collect();
    let causes: Vec<String> = troubles.iter().map(|trouble| trouble.cause.clone()).collect();
    let pauses: Vec<f64> = troubles.iter().map(|trouble| trouble.pause.as_secs_f64()).collect();
    sqlx::query!(
        "insert into falconer.circuits as c (credential_id, model, failures, opened_at, open_until, not_before, cause)
         select t.credential_id, t.model, 1, clock.now, clock.now + make_interval(secs => t.pause),
             clock.now + make_interval(secs => t.pause), t.cause
         from unnest($1::uuid[], $2::text[], $3::text[], $4::float8[]) as t (credential_id, model, cause, pause),
              (select falconer.now() as now offset 0) as clock
         on conflict (credential_id, model) do update
         set failures = c.failures + 1, open_until = greatest(c.not_before, excluded.not_before),
             not_before = greatest(c.not_before, excluded.not_before), cause = excluded.cause",
        &credentials,
        &models,
        &causes,
        &pauses,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Closes the circuits of models that fal has just accepted, and of their credential. Cheap when none is open.
pub(crate) async fn close(tx: &mut PgConnection, credential: CredentialId, models: &[String]) -> Result<u64> {
    let closed = sqlx::query!(
        "delete from falconer.circuits where credential_id = $1 and (model = '' or model = any($2))",
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
