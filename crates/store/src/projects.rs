//! Projects: who submits and who is billed.

use crate::{
    Page, Store,
    audit::{self, Action, By, Entry},
    callbacks::Reader,
    error::Result,
};
use chrono::{DateTime, Utc};
use domain::{CredentialId, ProjectId};
use serde_json::json;
use uuid::Uuid;

/// The most projects that one page holds.
const LIST_MAX: u32 = 200;

/// One project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    pub id: ProjectId,
    pub name: String,
    pub created_at: DateTime<Utc>,
    /// Which fal account pays for its new jobs; nothing means the default one.
    pub credential: Option<CredentialId>,
}

/// What became of a new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renamed {
    Done,
    /// Another project has it.
    Taken,
    NotFound,
}

/// Whether a name may be a project's: 1 to 63 of a-z, 0-9, `_` and `-`, and a letter or digit first. The table's CHECK
/// says the same.
pub fn is_name(name: &str) -> bool {
    let tail = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    let bytes = name.as_bytes();
    (1..=63).contains(&bytes.len()) && !b"_-".contains(&bytes[0]) && bytes.iter().all(|byte| tail(*byte))
}

/// Makes a project. `name` must be a name by [`is_name`]. Answers with nothing where the name is taken.
pub async fn create(store: &Store, name: &str, by: &By) -> Result<Option<ProjectId>> {
    let id = ProjectId(crate::fresh_id());
    let mut tx = store.pools.api.begin().await?;
    let made = sqlx::query!(
        "insert into falconer.projects (id, name, created_at) values ($1, $2, falconer.now()) on conflict do nothing",
        id.0,
        name,
    )
    .execute(&mut *tx)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(None);
    }
    let entry = Entry::done(Action::ProjectCreated, Some(id), id).with(json!({ "name": name }));
    audit::record(&mut tx, by, &entry).await?;
    tx.commit().await?;
    Ok(Some(id))
}

/// As [`find_or_create`], where nobody acts: for fixtures of tests and benchmarks.
pub async fn find_or_insert(store: &Store, name: &str) -> Result<ProjectId> {
    find_or_create(store, name, &By::command_line("a fixture")).await
}

/// Finds the project of that name, or makes it. `name` must be a name by [`is_name`].
pub async fn find_or_create(store: &Store, name: &str, by: &By) -> Result<ProjectId> {
    if let Some(id) = find(store, name).await? {
        return Ok(id);
    }
    if let Some(id) = create(store, name, by).await? {
        return Ok(id);
    }
    // Another process was first.
    let id = sqlx::query_scalar!(r#"select id as "id: ProjectId" from falconer.projects where name = $1"#, name)
        .fetch_one(&store.pools.api)
        .await?;
    Ok(id)
}

/// Gives a project another name. Whoever names it, on a command line or in SQL, must use that from then on; keys are not
/// touched.
pub async fn rename(store: &Store, id: ProjectId, name: &str, by: &By) -> Result<Renamed> {
    let mut tx = store.pools.api.begin().await?;
    let done = sqlx::query!(
        "update falconer.projects p set name = $2
         from (select id, name from falconer.projects where id = $1 for update) as old
         where p.id = old.id and not exists (select from falconer.projects o where o.name = $2 and o.id <> $1)
         returning old.name as before",
        id.0,
        name,
    )
    .fetch_optional(&mut *tx)
    .await;
    let done = match done {
        // Another transaction took the name a moment ago.
        Err(sqlx::Error::Database(refusal)) if refusal.is_unique_violation() => return Ok(Renamed::Taken),
        done => done?,
    };
    let Some(row) = done else {
        let is_there =
            sqlx::query_scalar!(r#"select exists (select from falconer.projects where id = $1) as "is_there!""#, id.0)
                .fetch_one(&mut *tx)
                .await?;
        return Ok(if is_there { Renamed::Taken } else { Renamed::NotFound });
    };
    if row.before != name {
        let entry = Entry::done(Action::ProjectRenamed, Some(id), id).with(json!({ "from": row.before, "to": name }));
        audit::record(&mut tx, by, &entry).await?;
    }
    tx.commit().await?;
    Ok(Renamed::Done)
}

/// Finds the project of that name.
pub async fn find(store: &Store, name: &str) -> Result<Option<ProjectId>> {
    let id = sqlx::query_scalar!(r#"select id as "id: ProjectId" from falconer.projects where name = $1"#, name)
        .fetch_optional(&store.pools.api)
        .await?;
    Ok(id)
}

/// Reads a project by its id or its name; nothing where it is not there or `reader` may not see it. An id goes before a name
/// that looks like one.
pub async fn get(store: &Store, reader: Reader, id_or_name: &str) -> Result<Option<Project>> {
    let id = Uuid::parse_str(id_or_name).ok();
    let row = sqlx::query_as!(
        Project,
        r#"select id as "id: ProjectId", name, created_at, credential_id as "credential: CredentialId"
           from falconer.projects
           where (id = $1 or name = $2) and ($3::uuid is null or id = $3)
           order by coalesce(id = $1, false) desc limit 1"#,
        id,
        id_or_name,
        reader.project(),
    )
    .fetch_optional(&store.pools.api)
    .await?;
    Ok(row)
}

/// Lists every project, by name.
pub async fn list(store: &Store) -> Result<Vec<Project>> {
    let rows = sqlx::query_as!(
        Project,
        r#"select id as "id: ProjectId", name, created_at, credential_id as "credential: CredentialId"
           from falconer.projects order by name"#
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(rows)
}

/// Lists the projects that `reader` may see and whose ids come before `after`, newest first.
pub async fn page(store: &Store, reader: Reader, after: Option<Uuid>, limit: u32) -> Result<Page<Project, Uuid>> {
    let limit = usize::try_from(limit.clamp(1, LIST_MAX)).unwrap_or(1);
    let items = sqlx::query_as!(
        Project,
        r#"select id as "id: ProjectId", name, created_at, credential_id as "credential: CredentialId"
           from falconer.projects
           where id < $1 and ($2::uuid is null or id = $2) order by id desc limit $3"#,
        after.unwrap_or(Uuid::max()),
        reader.project(),
        i64::try_from(limit + 1).unwrap_or(i64::MAX),
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(Page::cut(items, limit, |item| item.id.0))
}
