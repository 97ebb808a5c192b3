//! How far an account's bills were read.

use crate::{Store, error::Result};
use chrono::{DateTime, Utc};
use domain::CredentialId;

/// Where reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadFrom {
    /// The database's time.
    pub now: DateTime<Utc>,
    /// What fal billed before this installation knew the account is none of its affair.
    pub account_since: DateTime<Utc>,
    /// Nothing where nothing was read yet.
    pub read_until: Option<DateTime<Utc>>,
    /// When everything that fal lists was last read.
    pub whole_at: Option<DateTime<Utc>>,
}

/// Reads how far the bills of an account were read. Nothing where there is no such account.
pub async fn read_from(store: &Store, credential: CredentialId) -> Result<Option<ReadFrom>> {
    let row = sqlx::query_as!(
        ReadFrom,
        r#"select falconer.now() as "now!", c.created_at as account_since, b.read_until as "read_until?", b.whole_at
           from falconer.credentials c left join falconer.billing_cursors b on b.credential_id = c.id
           where c.id = $1"#,
        credential.0,
    )
    .fetch_optional(&store.pools.maintenance)
    .await?;
    Ok(row)
}

/// Notes that the bills up to `until` were read, and whether those were all that fal lists. Never goes back.
pub async fn mark(store: &Store, credential: CredentialId, until: DateTime<Utc>, whole: bool) -> Result<()> {
    sqlx::query!(
        "insert into falconer.billing_cursors as b (credential_id, read_until, whole_at)
         values ($1, $2, case when $3 then $2::timestamptz end)
         on conflict (credential_id) do update
         set read_until = greatest(b.read_until, excluded.read_until),
             whole_at = greatest(b.whole_at, excluded.whole_at)",
        credential.0,
        until,
        whole,
    )
    .execute(&store.pools.maintenance)
    .await?;
    Ok(())
}
