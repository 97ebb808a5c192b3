//! `GET /v1/audit`: what operators did; and how handlers say so where the change is not a statement of the store.

use crate::{ApiState, Problem, auth::Caller, cursor::Owner, jobs::list::PageJson, openapi::params, query::Query};
use axum::{
    Json,
    extract::{RawQuery, State},
};
use chrono::{DateTime, Utc};
use domain::{KeyId, ProjectId};
use serde::Serialize;
use std::error::Error;
use store::{
    audit::{self, AuditFilter, AuditRow, Entry},
    keys::Scope,
};
use utoipa::ToSchema;
use uuid::Uuid;

/// One thing that somebody did.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct EntryJson {
    id: Uuid,
    at: DateTime<Utc>,
    /// Noun and past tense.
    #[schema(example = "key.rotated")]
    action: String,
    actor: ActorJson,
    /// Whose thing it was done to; null where it belongs to no project.
    #[schema(value_type = Option<Uuid>)]
    project_id: Option<ProjectId>,
    subject: SubjectJson,
    /// The address that the request came from; the proxy's, where there is one.
    peer: Option<String>,
    /// `done`, `refused` or `failed`.
    outcome: String,
    detail: serde_json::Value,
}

/// Who did it.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditActor)]
struct ActorJson {
    /// `key` or `command_line`.
    kind: String,
    #[schema(value_type = Option<Uuid>)]
    key_id: Option<KeyId>,
    os_user: Option<String>,
}

/// What it was done to.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditSubject)]
struct SubjectJson {
    #[schema(example = "key")]
    kind: String,
    id: String,
}

/// Lists what operators did, newest first: to what is the key's project's, or all of it for `admin`.
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "list_audit_log", tag = "audit", security(("key" = ["operate"])),
    params(
        params::Paging,
        ("action" = Option<String>, Query, description = "This action alone.", example = "key.revoked"),
        ("key_id" = Option<Uuid>, Query, description = "Done by this key."),
        ("from" = Option<DateTime<Utc>>, Query, description = "At this time or later."),
        ("before" = Option<DateTime<Utc>>, Query, description = "Earlier than this time."),
    ),
    responses((status = 200, description = "One page.", body = PageJson<EntryJson>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Json<PageJson<EntryJson>>, Problem> {
    caller.must(Scope::Operate)?;
    let mut query = Query::parse(raw.as_deref());
    let owner = Owner { list: "audit", project: caller.project };
    let paging = query.paging_of(owner);
    let filter = AuditFilter {
        action: query.value("action", "must be the name of an action, such as key.revoked"),
        key: query.value("key_id", "must be a UUID").map(KeyId),
        project: None,
        from: query.time("from"),
        before: query.time("before"),
    };
    query.finish()?;
    let page = audit::list(&api.store, caller.reader(), &filter, paging.after, paging.limit).await?;
    Ok(Json(PageJson {
        items: page.items.into_iter().map(EntryJson::from).collect(),
        next_cursor: page.next.map(|id| owner.write(id)),
    }))
}

impl ApiState {
    /// Writes down what the caller did a moment ago. What was done stays done where this fails, and the log of the process
    /// then has the only trace.
    pub(crate) async fn note(&self, caller: &Caller, entry: Entry) {
        if let Err(error) = audit::note(&self.store, &caller.by(), &entry).await {
            let action = entry.action.as_str();
            tracing::error!(
                error = &error as &dyn Error, action, subject = entry.subject, key.id = %caller.key,
                "{action} is missing from the audit log",
            );
        }
    }
}

impl From<AuditRow> for EntryJson {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id,
            at: row.at,
            action: row.action,
            actor: ActorJson { kind: row.actor, key_id: row.key, os_user: row.os_user },
            project_id: row.project,
            subject: SubjectJson { kind: row.subject, id: row.subject_id },
            peer: row.peer,
            outcome: row.outcome,
            detail: row.detail,
        }
    }
}
