//! What an operator does with fal accounts. Each change is one transaction with its row of the audit log.

use super::Credential;
use crate::{
    Store,
    audit::{self, Action, By, Entry},
    callbacks::Reader,
    error::Result,
};
use domain::{CredentialId, ProjectId, sealing::Sealed};
use serde_json::json;
use sqlx::PgConnection;

/// A credential to make. Its id is minted before, since the key is sealed for it.
#[derive(Clone, Debug)]
pub struct NewCredential {
    pub id: CredentialId,
    /// A name by `projects::is_name`, which its project has not got yet.
    pub name: String,
    pub sealed: Sealed,
    pub key_hint: String,
    pub slots: u32,
    pub user_id: Option<String>,
    /// Whose it is, and whose new jobs it pays for from now on.
    pub project: Option<ProjectId>,
}

/// What became of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assigned {
    Done,
    NoProject,
    /// There is no such credential, or it is another project's.
    NoCredential,
}

/// Makes a credential. Answers with nothing where the name is taken.
pub async fn create(store: &Store, new: &NewCredential, by: &By) -> Result<Option<Credential>> {
    let mut tx = store.pools.api.begin().await?;
    let made = sqlx::query!(
        "insert into falconer.credentials (id, name, slots, user_id, user_id_source, created_at, updated_at, sealed_key,
             sealed_with, key_hint, project_id)
         values ($1, $2, $3, $4, case when $4::text is not null then 'repinned' end, falconer.now(), falconer.now(),
             $5, $6, $7, $8)
         on conflict do nothing",
        new.id.0,
        new.name,
        slots(new.slots),
        new.user_id,
        &new.sealed.bytes,
        new.sealed.kid,
        new.key_hint,
        new.project.map(|project| project.0),
    )
    .execute(&mut *tx)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(None);
    }
    if let Some(project) = new.project {
        sqlx::query!("update falconer.projects set credential_id = $2 where id = $1", project.0, new.id.0)
            .execute(&mut *tx)
            .await?;
    }
    let detail = json!({"name": new.name, "slots": new.slots, "user_id": new.user_id});
    audit::record(&mut tx, by, &Entry::done(Action::CredentialCreated, new.project, new.id).with(detail)).await?;
    tx.commit().await?;
    super::get(store, Reader::Operator, new.id).await
}

/// Exchanges the key of an account. What fal already has goes on under the new one. Answers whether there is such a
/// credential; the default one is none, since its key comes from the environment.
pub async fn rotate(store: &Store, id: CredentialId, sealed: &Sealed, key_hint: &str, by: &By) -> Result<bool> {
    let mut tx = store.pools.api.begin().await?;
    let done = sqlx::query_scalar!(
        r#"update falconer.credentials set sealed_key = $2, sealed_with = $3, key_hint = $4, updated_at = falconer.now()
           where id = $1 and sealed_key is not null returning project_id as "project: ProjectId""#,
        id.0,
        &sealed.bytes,
        sealed.kid,
        key_hint,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(project) = done else { return Ok(false) };
    // fal may have refused the old key: the new one is tried at once.
    sqlx::query!(
        "update falconer.circuits set open_until = greatest(not_before, falconer.now())
         where credential_id = $1 and model = ''",
        id.0,
    )
    .execute(&mut *tx)
    .await?;
    audit::record(&mut tx, by, &Entry::done(Action::CredentialRotated, project, id)).await?;
    tx.commit().await?;
    Ok(true)
}

/// Says how many runs the account allows at once. Answers whether there is such a credential.
pub async fn set_slots(store: &Store, id: CredentialId, count: u32, by: &By) -> Result<bool> {
    let mut tx = store.pools.api.begin().await?;
    let done = sqlx::query_scalar!(
        r#"update falconer.credentials set slots = $2, updated_at = falconer.now() where id = $1
           returning project_id as "project: ProjectId""#,
        id.0,
        slots(count),
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(project) = done {
        changed(&mut tx, id, project, json!({"slots": count}), by).await?;
    }
    tx.commit().await?;
    Ok(done.is_some())
}

/// Disables a credential, whose jobs wait from then on, or enables it again. Answers whether there is such a credential.
/// Running it twice changes nothing more.
pub async fn set_enabled(store: &Store, id: CredentialId, enabled: bool, by: &By) -> Result<bool> {
    let mut tx = store.pools.api.begin().await?;
    let done = sqlx::query_scalar!(
        r#"update falconer.credentials
           set disabled_at = case when not $2 then coalesce(disabled_at, falconer.now()) end,
               updated_at = falconer.now()
           where id = $1 returning project_id as "project: ProjectId""#,
        id.0,
        enabled,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(project) = done {
        changed(&mut tx, id, project, json!({"enabled": enabled}), by).await?;
    }
    tx.commit().await?;
    Ok(done.is_some())
}

/// Pins another user id, or forgets the pinned one so that it is learnt afresh. Answers whether there is such a credential.
pub async fn repin(store: &Store, id: CredentialId, user_id: Option<&str>, by: &By) -> Result<bool> {
    let mut tx = store.pools.api.begin().await?;
    let done = sqlx::query_scalar!(
        r#"update falconer.credentials set user_id = $2, seen_user_id = null, seen_count = 0,
               user_id_source = case when $2::text is not null then 'repinned' end
           where id = $1 returning project_id as "project: ProjectId""#,
        id.0,
        user_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(project) = done {
        let entry = Entry::done(Action::CredentialRepinned, project, id).with(json!({"user_id": user_id}));
        audit::record(&mut tx, by, &entry).await?;
    }
    tx.commit().await?;
    Ok(done.is_some())
}

/// Says who pays for a project's new jobs; nothing means the default credential. Jobs that are there keep theirs.
pub async fn assign(store: &Store, project: ProjectId, credential: Option<CredentialId>, by: &By) -> Result<Assigned> {
    let mut tx = store.pools.api.begin().await?;
    let found = sqlx::query!(
        r#"with assigned as (
             update falconer.projects p set credential_id = $2
             where p.id = $1 and ($2::uuid is null or exists (
                 select from falconer.credentials c
                 where c.id = $2 and (c.project_id is null or c.project_id = p.id)))
             returning p.id)
           select exists (select from assigned) as "done!",
               exists (select from falconer.projects where id = $1) as "has_project!""#,
        project.0,
        credential.filter(|id| *id != CredentialId::DEFAULT).map(|id| id.0),
    )
    .fetch_one(&mut *tx)
    .await?;
    match (found.done, found.has_project) {
        (true, _) => {}
        (false, true) => return Ok(Assigned::NoCredential),
        (false, false) => return Ok(Assigned::NoProject),
    }
    let subject = credential.unwrap_or(CredentialId::DEFAULT);
    audit::record(&mut tx, by, &Entry::done(Action::CredentialAssigned, Some(project), subject)).await?;
    tx.commit().await?;
    Ok(Assigned::Done)
}

/// Records a change of a credential of that project.
async fn changed(
    tx: &mut PgConnection,
    id: CredentialId,
    project: Option<ProjectId>,
    detail: serde_json::Value,
    by: &By,
) -> Result<()> {
    audit::record(tx, by, &Entry::done(Action::CredentialChanged, project, id).with(detail)).await
}

fn slots(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
