//! fal accounts: their slots, and the user id that fal signs their callbacks with.

use crate::{Store, error::Result};
use domain::CredentialId;
use sqlx::PgConnection;

/// Callbacks that must agree before their user id is believed.
pub const WITNESSES: i32 = 3;

/// One fal account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub id: CredentialId,
    pub name: String,
    pub slots: i32,
    pub user_id: Option<String>,
    pub user_id_source: Option<String>,
}

/// Lists every credential.
pub async fn list(store: &Store) -> Result<Vec<Credential>> {
    let rows = sqlx::query_as!(
        Credential,
        r#"select id as "id: CredentialId", name, slots, user_id, user_id_source from falconer.credentials order by id"#
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(rows)
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

/// Pins another user id, or forgets the pinned one so that it is learnt afresh.
pub async fn repin(store: &Store, id: CredentialId, user_id: Option<&str>) -> Result<bool> {
    let done = sqlx::query!(
        "update falconer.credentials set user_id = $2, seen_user_id = null, seen_count = 0,
             user_id_source = case when $2::text is not null then 'repinned' end
         where id = $1",
        id.0,
        user_id,
    )
    .execute(&store.pools.api)
    .await?;
    Ok(done.rows_affected() == 1)
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
