//! The audit log: who did what to which thing, from where, and with what outcome. Rows are added and never changed.
//!
//! Where the change is a statement of ours it and its row are one transaction (`record`). Where the change goes through a
//! batch with those of others (jobs, callbacks) the row follows it at once ([`note`]), so that a process that dies between
//! the two has changed something that only the thing's own history tells.

mod action;
mod page;
#[cfg(test)]
mod tests;

pub use action::{Action, Outcome};
pub use page::{AuditFilter, AuditRow, list};

use crate::{Store, error::Result};
use domain::{KeyId, ProjectId};
use serde_json::Value;
use sqlx::PgConnection;
use std::{net::IpAddr, time::Duration};

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    Key(KeyId),
    /// Somebody with the database's URL, by the name of the operating system.
    CommandLine(String),
}

/// Who acts, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    pub actor: Actor,
    /// The address of whoever sent the request; nothing on the command line.
    pub peer: Option<IpAddr>,
}

/// One thing that was done. It must hold neither a secret nor a payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub action: Action,
    /// The id of what it was done to, or its name where it has no id.
    pub subject: String,
    /// Whose that is; nothing where it belongs to no project.
    pub project: Option<ProjectId>,
    pub outcome: Outcome,
    /// An object: what else a reader wants to know.
    pub detail: Value,
}

impl By {
    pub fn command_line(os_user: impl Into<String>) -> Self {
        Self { actor: Actor::CommandLine(os_user.into()), peer: None }
    }

    /// The key that acts; nothing on the command line.
    pub fn key(&self) -> Option<KeyId> {
        match self.actor {
            Actor::Key(id) => Some(id),
            Actor::CommandLine(_) => None,
        }
    }
}

impl Entry {
    /// What was done, and there is no more to say of it.
    #[expect(clippy::needless_pass_by_value, reason = "what is named here is an id or a borrowed text")]
    pub fn done(action: Action, project: Option<ProjectId>, subject: impl ToString) -> Self {
        let detail = Value::Object(serde_json::Map::new());
        Self { action, subject: subject.to_string(), project, outcome: Outcome::Done, detail }
    }

    #[must_use]
    pub fn with(self, detail: Value) -> Self {
        Self { detail, ..self }
    }
}

/// Writes a row in the transaction of the change that it tells of.
pub(crate) async fn record(tx: &mut PgConnection, by: &By, entry: &Entry) -> Result<()> {
    let (actor, os_user) = match &by.actor {
        Actor::Key(_) => ("key", None),
        Actor::CommandLine(user) => ("command_line", Some(user)),
    };
    sqlx::query!(
        "insert into falconer.audit_log
             (id, at, action, actor, key_id, os_user, project_id, subject, subject_id, peer, outcome, detail)
         values ($1, falconer.now(), $2, $3, $4, $5, $6, $7, $8, $9::text::inet, $10, $11)",
        crate::fresh_id(),
        entry.action.as_str(),
        actor,
        by.key().map(|id| id.0),
        os_user,
        entry.project.map(|id| id.0),
        entry.action.noun(),
        entry.subject,
        by.peer.map(|peer| peer.to_string()),
        entry.outcome.as_str(),
        entry.detail,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes a row of something that was done a moment ago.
pub async fn note(store: &Store, by: &By, entry: &Entry) -> Result<()> {
    let mut connection = store.pools.api.acquire().await?;
    record(&mut connection, by, entry).await
}

/// Deletes up to `limit` rows that are older than `keep`, oldest first. The only way that a row goes.
pub async fn prune(store: &Store, keep: Duration, limit: u32) -> Result<u64> {
    let mut tx = store.pools.maintenance.begin().await?;
    sqlx::query!("set local falconer.audit_retention = 'on'").execute(&mut *tx).await?;
    let deleted = sqlx::query!(
        "delete from falconer.audit_log where id = any(array(
             select id from falconer.audit_log where at < falconer.now() - make_interval(secs => $1)
             order by at limit $2))",
        keep.as_secs_f64(),
        i64::from(limit),
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(deleted.rows_affected())
}
