//! The log as it is read.

use super::Action;
use crate::{Page, Store, callbacks::Reader, error::Result};
use chrono::{DateTime, Utc};
use domain::{KeyId, ProjectId};
use uuid::Uuid;

/// The most rows that one page holds.
const LIST_MAX: u32 = 200;

/// Which rows are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub action: Option<Action>,
    /// Done by this key.
    pub key: Option<KeyId>,
    /// Done to what is this project's.
    pub project: Option<ProjectId>,
    /// At this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Earlier than this time.
    pub before: Option<DateTime<Utc>>,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub action: String,
    /// `key` or `command_line`.
    pub actor: String,
    pub key: Option<KeyId>,
    pub os_user: Option<String>,
    pub project: Option<ProjectId>,
    pub subject: String,
    pub subject_id: String,
    pub peer: Option<String>,
    pub outcome: String,
    pub detail: serde_json::Value,
}

/// Lists rows whose ids come before `after`, newest first. A project sees what was done to what is its own, and of others
/// than its own keys not from where.
pub async fn list(
    store: &Store,
    reader: Reader,
    filter: &AuditFilter,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Page<AuditRow, Uuid>> {
    let limit = usize::try_from(limit.clamp(1, LIST_MAX)).unwrap_or(1);
    let items = sqlx::query_as!(
        AuditRow,
        r#"select a.id, a.at, a.action, a.actor, a.key_id as "key: KeyId", a.project_id as "project: ProjectId", a.subject,
               a.subject_id, a.outcome, a.detail,
               case when $2::uuid is null then a.os_user end as os_user,
               case when $2::uuid is null or exists (
                   select from falconer.api_keys k where k.id = a.key_id and k.project_id = $2) then host(a.peer) end as peer
           from falconer.audit_log a
           where a.id < $1 and ($2::uuid is null or a.project_id = $2) and ($3::text is null or a.action = $3)
             and ($4::uuid is null or a.key_id = $4) and ($5::uuid is null or a.project_id = $5)
             and ($6::timestamptz is null or a.at >= $6) and ($7::timestamptz is null or a.at < $7)
           order by a.id desc limit $8"#,
        after.unwrap_or(Uuid::max()),
        reader.project(),
        filter.action.map(Action::as_str),
        filter.key.map(|id| id.0),
        filter.project.map(|id| id.0),
        filter.from,
        filter.before,
        i64::try_from(limit + 1).unwrap_or(i64::MAX),
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(Page::cut(items, limit, |item| item.id))
}
