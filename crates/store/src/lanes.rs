//! Lanes: whose jobs wait behind each other.

use crate::error::Result;
use domain::{CredentialId, ProjectId};
use sqlx::PgConnection;
use std::collections::HashMap;

/// What makes a lane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneKey {
    pub credential: CredentialId,
    pub project: ProjectId,
    pub model: String,
}

/// Finds the lanes of `keys`, and makes those that are missing. Keys must be sorted and without repeats, so that two
/// callers make lanes in the same order.
pub async fn find_or_insert(tx: &mut PgConnection, keys: &[LaneKey]) -> Result<HashMap<LaneKey, i32>> {
    let mut found = find(tx, keys).await?;
    if found.len() < keys.len() {
        let missing: Vec<&LaneKey> = keys.iter().filter(|key| !found.contains_key(key)).collect();
        let (credentials, projects, models) = columns(&missing);
        sqlx::query!(
            "insert into falconer.lanes (credential_id, project_id, model)
             select * from unnest($1::uuid[], $2::uuid[], $3::text[]) on conflict do nothing",
            &credentials,
            &projects,
            &models,
        )
        .execute(&mut *tx)
        .await?;
        found = find(tx, keys).await?;
    }
    Ok(found)
}

async fn find(tx: &mut PgConnection, keys: &[LaneKey]) -> Result<HashMap<LaneKey, i32>> {
    let all: Vec<&LaneKey> = keys.iter().collect();
    let (credentials, projects, models) = columns(&all);
    let rows = sqlx::query!(
        r#"select l.id, l.credential_id as "credential: CredentialId", l.project_id as "project: ProjectId", l.model
           from unnest($1::uuid[], $2::uuid[], $3::text[]) as k (credential_id, project_id, model)
           join falconer.lanes l using (credential_id, project_id, model)"#,
        &credentials,
        &projects,
        &models,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (LaneKey { credential: row.credential, project: row.project, model: row.model }, row.id))
        .collect())
}

fn columns(keys: &[&LaneKey]) -> (Vec<uuid::Uuid>, Vec<uuid::Uuid>, Vec<String>) {
    (
        keys.iter().map(|key| key.credential.0).collect(),
        keys.iter().map(|key| key.project.0).collect(),
        keys.iter().map(|key| key.model.clone()).collect(),
    )
}

/// Lists every model that a job has named.
pub async fn models(store: &crate::Store) -> Result<Vec<String>> {
    let models = sqlx::query_scalar!("select distinct model from falconer.lanes order by model")
        .fetch_all(&store.pools.maintenance)
        .await?;
    Ok(models)
}
