//! Changes of fal accounts, for `admin`. Every process takes them over within five seconds.

use super::{CredentialJson, bodies, find};
use crate::{ApiState, Problem, ProblemKind, auth::Caller, body::RawBody, path::CredentialPath};
use axum::{Json, extract::State};
use domain::CredentialId;
use http::StatusCode;
use store::{
    callbacks::Reader,
    credentials::{self, Assigned, NewCredential},
    keys::Scope,
    projects,
};

type Answer = Result<Json<CredentialJson>, Problem>;

/// Adds a fal account. Its key is sealed at once and told to nobody.
///
/// Its name makes a repeat safe: the second one is told that it exists.
#[utoipa::path(
    post, path = "/v1/credentials", operation_id = "create_credential", tag = "credentials", security(("key" = ["admin"])),
    request_body = bodies::NewCredentialRequest,
    responses((status = 201, description = "The credential, without its key.", body = CredentialJson)),
    extensions(("x-problems" = json!(["credential-exists", "project-not-found"]))),
)]
pub(crate) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    RawBody(body): RawBody,
) -> Result<(StatusCode, Json<CredentialJson>), Problem> {
    caller.must(Scope::Admin)?;
    let asked = bodies::new(&body)?;
    let project = match &asked.project {
        Some(project) => Some(project_of(&api, project).await?),
        None => None,
    };
    let id = CredentialId(store::fresh_id());
    let new = NewCredential {
        id,
        name: asked.name,
        sealed: api.accounts.sealer().seal(id, &asked.key),
        key_hint: asked.key.hint(),
        slots: asked.slots,
        user_id: asked.user_id,
        project,
    };
    let made = credentials::create(&api.store, &new, &caller.by()).await?.ok_or(ProblemKind::CredentialExists)?;
    tracing::info!(credential.id = %id, key.id = %caller.key, "credential {id} was added");
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Exchanges the key of an account. Requests that fal has already are asked about with the new one.
///
/// The default account has the key of `FAL_KEY`, which is exchanged in the environment of every server.
#[utoipa::path(
    post, path = "/v1/credentials/{id}/rotate", operation_id = "rotate_credential", tag = "credentials", security(("key" = ["admin"])),
    params(("id" = Uuid, Path, description = "The credential's id.")),
    request_body = bodies::RotateCredentialRequest,
    responses((status = 200, description = "The credential as it is now.", body = CredentialJson)),
    extensions(("x-problems" = json!(["credential-not-found", "credential-not-rotatable"]))),
)]
pub(crate) async fn rotate(
    State(api): State<ApiState>,
    caller: Caller,
    CredentialPath(id): CredentialPath,
    RawBody(body): RawBody,
) -> Answer {
    caller.must(Scope::Admin)?;
    let key = bodies::key(&body)?;
    if id == CredentialId::DEFAULT {
        return Err(ProblemKind::CredentialNotRotatable.into());
    }
    let sealed = api.accounts.sealer().seal(id, &key);
    now(&api, id, credentials::rotate(&api.store, id, &sealed, &key.hint(), &caller.by()).await?).await
}

/// Says how many runs an account allows at once.
#[utoipa::path(
    patch, path = "/v1/credentials/{id}", operation_id = "change_credential", tag = "credentials", security(("key" = ["admin"])),
    params(("id" = Uuid, Path, description = "The credential's id.")),
    request_body = bodies::ChangeCredentialRequest,
    responses((status = 200, description = "The credential as it is now.", body = CredentialJson)),
    extensions(("x-problems" = json!(["credential-not-found"]))),
)]
pub(crate) async fn change(
    State(api): State<ApiState>,
    caller: Caller,
    CredentialPath(id): CredentialPath,
    RawBody(body): RawBody,
) -> Answer {
    caller.must(Scope::Admin)?;
    let slots = bodies::slots(&body)?;
    now(&api, id, credentials::set_slots(&api.store, id, slots, &caller.by()).await?).await
}

/// Pins another user id, or forgets the pinned one so that it is learnt afresh.
#[utoipa::path(
    post, path = "/v1/credentials/{id}/repin", operation_id = "repin_credential", tag = "credentials", security(("key" = ["admin"])),
    params(("id" = Uuid, Path, description = "The credential's id.")),
    request_body = bodies::RepinCredentialRequest,
    responses((status = 200, description = "The credential as it is now.", body = CredentialJson)),
    extensions(("x-problems" = json!(["credential-not-found"]))),
)]
pub(crate) async fn repin(
    State(api): State<ApiState>,
    caller: Caller,
    CredentialPath(id): CredentialPath,
    RawBody(body): RawBody,
) -> Answer {
    caller.must(Scope::Admin)?;
    let user_id = bodies::repin(&body)?;
    now(&api, id, credentials::repin(&api.store, id, user_id.as_deref(), &caller.by()).await?).await
}

/// Sends nothing more for an account. Its jobs wait, and what fal has already is still looked after.
#[utoipa::path(
    post, path = "/v1/credentials/{id}/disable", operation_id = "disable_credential", tag = "credentials", security(("key" = ["admin"])),
    params(("id" = Uuid, Path, description = "The credential's id.")),
    responses((status = 200, description = "The credential as it is now.", body = CredentialJson)),
    extensions(("x-problems" = json!(["credential-not-found"]))),
)]
pub(crate) async fn disable(State(api): State<ApiState>, caller: Caller, CredentialPath(id): CredentialPath) -> Answer {
    caller.must(Scope::Admin)?;
    now(&api, id, credentials::set_enabled(&api.store, id, false, &caller.by()).await?).await
}

/// Sends for a disabled account again.
#[utoipa::path(
    post, path = "/v1/credentials/{id}/enable", operation_id = "enable_credential", tag = "credentials", security(("key" = ["admin"])),
    params(("id" = Uuid, Path, description = "The credential's id.")),
    responses((status = 200, description = "The credential as it is now.", body = CredentialJson)),
    extensions(("x-problems" = json!(["credential-not-found"]))),
)]
pub(crate) async fn enable(State(api): State<ApiState>, caller: Caller, CredentialPath(id): CredentialPath) -> Answer {
    caller.must(Scope::Admin)?;
    now(&api, id, credentials::set_enabled(&api.store, id, true, &caller.by()).await?).await
}

/// Lets an account pay for a project's new jobs. Jobs that are there keep the account that they were accepted with.
#[utoipa::path(
    post, path = "/v1/credentials/{id}/assign", operation_id = "assign_credential", tag = "credentials", security(("key" = ["admin"])),
    params(("id" = Uuid, Path, description = "The credential's id.")),
    request_body = bodies::AssignCredentialRequest,
    responses((status = 200, description = "The credential as it is now.", body = CredentialJson)),
    extensions(("x-problems" = json!(["credential-not-found", "project-not-found"]))),
)]
pub(crate) async fn assign(
    State(api): State<ApiState>,
    caller: Caller,
    CredentialPath(id): CredentialPath,
    RawBody(body): RawBody,
) -> Answer {
    caller.must(Scope::Admin)?;
    let project = project_of(&api, &bodies::project(&body)?).await?;
    match credentials::assign(&api.store, project, Some(id), &caller.by()).await? {
        Assigned::Done => now(&api, id, true).await,
        Assigned::NoProject => Err(ProblemKind::ProjectNotFound.into()),
        Assigned::NoCredential => Err(ProblemKind::CredentialNotFound.into()),
    }
}

async fn project_of(api: &ApiState, id_or_name: &str) -> Result<domain::ProjectId, Problem> {
    let found = projects::get(&api.store, Reader::Operator, id_or_name).await?;
    found.map(|project| project.id).ok_or(ProblemKind::ProjectNotFound.into())
}

async fn now(api: &ApiState, id: CredentialId, is_there: bool) -> Answer {
    if !is_there {
        return Err(ProblemKind::CredentialNotFound.into());
    }
    Ok(Json(find(api, Reader::Operator, id).await?.into()))
}
