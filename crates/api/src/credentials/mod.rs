//! The routes of fal accounts. A key sees those of its project; `admin` sees and changes all of them. No answer holds a key.

mod bodies;
pub(crate) mod changes;

use crate::{ApiState, Problem, ProblemKind, auth::Caller, jobs::list::PageJson, path::CredentialPath, query::Query};
use axum::{
    Json,
    extract::{RawQuery, State},
};
use chrono::{DateTime, Utc};
use domain::{CredentialId, ProjectId};
use serde::Serialize;
use store::{
    callbacks::Reader,
    credentials::{self, Credential},
    keys::Scope,
};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Credential)]
pub(crate) struct CredentialJson {
    #[schema(value_type = Uuid)]
    id: CredentialId,
    name: String,
    /// Whose account it is; null where it may pay for any project.
    #[schema(value_type = Option<Uuid>)]
    project_id: Option<ProjectId>,
    /// How many runs it allows at once.
    slots: i32,
    /// The key's last characters; null for that of `FAL_KEY`.
    key_hint: Option<String>,
    /// The user id that its callbacks must be signed for; null while it is being learnt.
    user_id: Option<String>,
    /// `configured`, `learnt` or `repinned`.
    user_id_source: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: Option<DateTime<Utc>>,
    /// Since when nothing is sent for it.
    disabled_at: Option<DateTime<Utc>>,
}

/// Lists fal accounts: those of the key's project, or all of them for `admin`.
///
/// They are few, and come as one page.
#[utoipa::path(
    get, path = "/v1/credentials", operation_id = "list_credentials", tag = "credentials", security(("key" = ["read"])),
    responses((status = 200, description = "All of them.", body = PageJson<CredentialJson>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Json<PageJson<CredentialJson>>, Problem> {
    caller.must(Scope::Read)?;
    Query::parse(raw.as_deref()).finish()?;
    let all = credentials::list_for(&api.store, caller.reader()).await?;
    Ok(Json(PageJson { items: all.into_iter().map(CredentialJson::from).collect(), next_cursor: None }))
}

/// Tells of one fal account.
#[utoipa::path(
    get, path = "/v1/credentials/{id}", operation_id = "get_credential", tag = "credentials", security(("key" = ["read"])),
    params(("id" = Uuid, Path, description = "The credential's id.")),
    responses((status = 200, description = "The credential, without its key.", body = CredentialJson)),
    extensions(("x-problems" = json!(["credential-not-found"]))),
)]
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    CredentialPath(id): CredentialPath,
) -> Result<Json<CredentialJson>, Problem> {
    caller.must(Scope::Read)?;
    Ok(Json(find(&api, caller.reader(), id).await?.into()))
}

async fn find(api: &ApiState, reader: Reader, id: CredentialId) -> Result<Credential, Problem> {
    credentials::get(&api.store, reader, id).await?.ok_or(ProblemKind::CredentialNotFound.into())
}

impl From<Credential> for CredentialJson {
    fn from(credential: Credential) -> Self {
        Self {
            id: credential.id,
            name: credential.name,
            project_id: credential.project,
            slots: credential.slots,
            key_hint: credential.key_hint,
            user_id: credential.user_id,
            user_id_source: credential.user_id_source,
            created_at: credential.created_at,
            updated_at: credential.updated_at,
            disabled_at: credential.disabled_at,
        }
    }
}
