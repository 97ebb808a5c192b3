//! fal accounts: their slots, and the user id that fal signs their callbacks with.
//!
//! `changes` is what an operator does with them, `sealed` what a process needs to use them.

mod changes;
mod sealed;

pub use changes::{Assigned, NewCredential, assign, create, repin, rotate, set_enabled, set_slots};
pub use sealed::{Account, accounts, replace_sealed};

use crate::{Store, callbacks::Reader, error::Result};
use chrono::{DateTime, Utc};
use domain::{CredentialId, ProjectId};
use sqlx::PgConnection;

/// Callbacks that must agree before their user id is believed.
pub const WITNESSES: i32 = 3;

/// One fal account, as people see it: never with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub id: CredentialId,
    pub name: String,
    pub slots: i32,
    pub user_id: Option<String>,
    pub user_id_source: Option<String>,
    /// The key's last characters. Nothing for the default credential, whose key comes from the environment.
    pub key_hint: Option<String>,
    /// Whose account it is; nothing where it belongs to whoever runs the installation.
    pub project: Option<ProjectId>,
    pub created_at: DateTime<Utc>,
    /// When its key, its slots or its state were last changed.
    pub updated_at: Option<DateTime<Utc>>,
    pub disabled_at: Option<DateTime<Utc>>,
}

/// Lists the credentials that `reader` may see, the default one first.
pub async fn list_for(store: &Store, reader: Reader) -> Result<Vec<Credential>> {
    let rows = sqlx::query_as!(
        Credential,
        r#"select id as "id: CredentialId", name, slots, user_id, user_id_source, key_hint,
               project_id as "project: ProjectId", created_at, updated_at, disabled_at
           from falconer.credentials where $1::uuid is null or project_id = $1 order by id"#,
        reader.project(),
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(rows)
}

/// Lists every credential.
pub async fn list(store: &Store) -> Result<Vec<Credential>> {
    list_for(store, Reader::Operator).await
}

/// Reads one credential; nothing where it is not there or `reader` may not see it.
pub async fn get(store: &Store, reader: Reader, id: CredentialId) -> Result<Option<Credential>> {
    let row = sqlx::query_as!(
        Credential,
        r#"select id as "id: CredentialId", name, slots, user_id, user_id_source, key_hint,
               project_id as "project: ProjectId", created_at, updated_at, disabled_at
           from falconer.credentials where id = $1 and ($2::uuid is null or project_id = $2)"#,
        id.0,
        reader.project(),
    )
    .fetch_optional(&store.pools.api)
    .await?;
    Ok(row)
}

/// Writes what the configuration says of a credential. A user id that was learnt or repinned stays unless one
/// is configured.
pub async fn configure(store: &Store, id: CredentialId, slots: u32, user_id: Option<&str>) -> Result<()> {
    sqlx::query!(
        "update falconer.credentials
         set slots = $2,
             user_id = coalesce($3, case when user_id_source <> 'configured' then user_id end),
             user_id_source = case when $3::text is not null then 'configured'
                                   when user_id_source <> 'configured' then user_id_source end
         where id = $1",
        id.0,
        i32::try_from(slots).unwrap_or(i32::MAX),
        user_id,
    )
    .execute(&store.pools.maintenance)
    .await?;
    Ok(())
}

/// Takes callbacks bound by our own submits as witnesses for their user id. After [`WITNESSES`] that agree it is pinned;
/// one that differs starts the count again.
pub(crate) async fn witness(tx: &mut PgConnection, id: CredentialId, user_id: &str, count: i32) -> Result<()> {
    sqlx::query!(
        "update falconer.credentials
         set seen_count = case when seen_user_id = $2 then seen_count + $3 else $3 end,
             seen_user_id = $2,
             user_id = case when (case when seen_user_id = $2 then seen_count + $3 else $3 end) >= $4 then $2 end,
             user_id_source = case when (case when seen_user_id = $2 then seen_count + $3 else $3 end) >= $4
                 then 'learnt' end
         where id = $1 and user_id is null",
        id.0,
        user_id,
        count,
        WITNESSES,
    )
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
