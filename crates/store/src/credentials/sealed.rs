//! What a process needs to use the accounts: their sealed keys and their slots.

use crate::{Store, error::Result};
use domain::{CredentialId, sealing::Sealed};

/// One fal account, as a process uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: CredentialId,
    pub name: String,
    pub slots: u32,
    /// Nothing for the default credential, whose key comes from the environment.
    pub sealed: Option<Sealed>,
    /// While it is, nothing is claimed for it.
    pub is_disabled: bool,
}

/// Reads every account. Few rows, read every second or two.
pub async fn accounts(store: &Store) -> Result<Vec<Account>> {
    let rows = sqlx::query!(
        r#"select id as "id: CredentialId", name, slots, sealed_key, sealed_with,
               disabled_at is not null as "is_disabled!"
           from falconer.credentials order by id"#
    )
    .fetch_all(&store.pools.maintenance)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Account {
            id: row.id,
            name: row.name,
            slots: row.slots.unsigned_abs(),
            sealed: row.sealed_key.zip(row.sealed_with).map(|(bytes, kid)| Sealed { bytes, kid }),
            is_disabled: row.is_disabled,
        })
        .collect())
}

/// Puts the same key, sealed anew, in the place of `old`. Answers whether it was still there: a key that was rotated
/// meanwhile stays.
pub async fn replace_sealed(store: &Store, id: CredentialId, old: &Sealed, new: &Sealed) -> Result<bool> {
    let done = sqlx::query!(
        "update falconer.credentials set sealed_key = $3, sealed_with = $4 where id = $1 and sealed_key = $2",
        id.0,
        &old.bytes,
        &new.bytes,
        new.kid,
    )
    .execute(&store.pools.api)
    .await?;
    Ok(done.rows_affected() == 1)
}
