//! Projects: who submits and who is billed.

use crate::{Store, error::Result};
use chrono::{DateTime, Utc};
use domain::ProjectId;

/// One project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    pub id: ProjectId,
    pub name: String,
    pub created_at: DateTime<Utc>,
}

/// Whether a name may be a project's: 1 to 63 of a-z, 0-9, `_` and `-`, and a letter or digit first. The table's CHECK
/// says the same.
pub fn is_name(name: &str) -> bool {
    let tail = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    let bytes = name.as_bytes();
    (1..=63).contains(&bytes.len()) && !b"_-".contains(&bytes[0]) && bytes.iter().all(|byte| tail(*byte))
}

/// Finds the project of that name, or makes it. `name` must be a name by [`is_name`].
pub async fn find_or_insert(store: &Store, name: &str) -> Result<ProjectId> {
    if let Some(id) = find(store, name).await? {
        return Ok(id);
    }
    sqlx::query!(
        "insert into falconer.projects (id, name, created_at) values ($1, $2, falconer.now()) on conflict do nothing",
        crate::fresh_id(),
        name,
    )
    .execute(&store.pools.api)
    .await?;
    // Read again, since another process may have been first.
    let id = sqlx::query_scalar!(r#"select id as "id: ProjectId" from falconer.projects where name = $1"#, name)
        .fetch_one(&store.pools.api)
        .await?;
    Ok(id)
}

/// Finds the project of that name.
pub async fn find(store: &Store, name: &str) -> Result<Option<ProjectId>> {
    let id = sqlx::query_scalar!(r#"select id as "id: ProjectId" from falconer.projects where name = $1"#, name)
        .fetch_optional(&store.pools.api)
        .await?;
    Ok(id)
}

/// Lists every project, by name.
pub async fn list(store: &Store) -> Result<Vec<Project>> {
    let rows = sqlx::query_as!(
        Project,
        r#"select id as "id: ProjectId", name, created_at from falconer.projects order by name"#
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(rows)
}
