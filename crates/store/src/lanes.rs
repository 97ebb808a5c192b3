//! Lanes: whose jobs wait behind each other.

use crate::error::Result;
use domain::{CredentialId, ProjectId};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// What makes a lane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneKey {
    /// Nothing means the project's own, and the default one where it has none.
    pub credential: Option<CredentialId>,
    pub project: ProjectId,
    pub model: String,
}

/// A lane, and who pays in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    pub id: i32,
    pub credential: CredentialId,
}

/// Finds the lanes of `keys`, and makes those that are missing. Keys must be sorted and without repeats, so that two
/// callers make lanes in the same order.
///
/// # Errors
/// [`crate::Error::Row`] when a key names a project that is not there.
pub async fn find_or_insert(tx: &mut PgConnection, keys: &[LaneKey]) -> Result<HashMap<LaneKey, Lane>> {
    let mut found = find(tx, keys).await?;
    // A project's account may change between the two reads, and then it is another lane.
    while found.len() < keys.len() {
        let missing: Vec<&LaneKey> = keys.iter().filter(|key| !found.contains_key(key)).collect();
        let (credentials, projects, models) = columns(&missing);
        sqlx::query!(
            "insert into falconer.lanes (credential_id, project_id, model)
             select coalesce(k.credential_id, p.credential_id, $4), k.project_id, k.model
             from unnest($1::uuid[], $2::uuid[], $3::text[]) as k (credential_id, project_id, model)
             left join falconer.projects p on p.id = k.project_id
             on conflict do nothing",
            &credentials as &[Option<Uuid>],
            &projects,
            &models,
            CredentialId::DEFAULT.0,
        )
        .execute(&mut *tx)
        .await?;
        found = find(tx, keys).await?;
    }
    Ok(found)
}

async fn find(tx: &mut PgConnection, keys: &[LaneKey]) -> Result<HashMap<LaneKey, Lane>> {
    let all: Vec<&LaneKey> = keys.iter().collect();
    let (credentials, projects, models) = columns(&all);
    let rows = sqlx::query!(
        r#"select l.id, l.credential_id as "credential: CredentialId", k.credential_id as "asked: CredentialId",
               l.project_id as "project: ProjectId", l.model
           from unnest($1::uuid[], $2::uuid[], $3::text[]) as k (credential_id, project_id, model)
           join falconer.projects p on p.id = k.project_id
           join falconer.lanes l on l.credential_id = coalesce(k.credential_id, p.credential_id, $4)
               and l.project_id = k.project_id and l.model = k.model"#,
        &credentials as &[Option<Uuid>],
        &projects,
        &models,
        CredentialId::DEFAULT.0,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let key = LaneKey { credential: row.asked, project: row.project, model: row.model };
            (key, Lane { id: row.id, credential: row.credential })
        })
        .collect())
}

fn columns(keys: &[&LaneKey]) -> (Vec<Option<Uuid>>, Vec<Uuid>, Vec<String>) {
    (
        keys.iter().map(|key| key.credential.map(|id| id.0)).collect(),
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
