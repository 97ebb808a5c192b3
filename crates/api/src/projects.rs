//! The routes of projects. A key sees its own; `admin` sees, makes and renames all of them.

use crate::{
    ApiState, Problem, ProblemKind, auth::Caller, body::RawBody, cursor::Owner, jobs::list::PageJson, members::members,
    openapi::params, path::ProjectPath, query::Query,
};
use axum::{
    Json,
    extract::{RawQuery, State},
};
use chrono::{DateTime, Utc};
use domain::{CredentialId, ProjectId};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use store::{
    callbacks::Reader,
    keys::Scope,
    projects::{self, Project, Renamed},
};
use utoipa::ToSchema;

const NAME_RULE: &str = "must be 1 to 63 of a-z, 0-9, _ and -, a letter or digit first";

#[derive(Serialize, ToSchema)]
#[schema(as = Project)]
pub(crate) struct ProjectJson {
    #[schema(value_type = Uuid)]
    id: ProjectId,
    name: String,
    created_at: DateTime<Utc>,
    /// Which fal account pays for its new jobs; null means the default one.
    #[schema(value_type = Option<Uuid>)]
    credential_id: Option<CredentialId>,
}

/// A project's name.
#[derive(Deserialize, ToSchema)]
#[schema(as = ProjectName, example = name_example)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the type describes what is read by hand, and is never built")]
pub(crate) struct NameRequest {
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    name: String,
}

/// Lists projects, newest first: the key's own, or all of them for `admin`.
#[utoipa::path(
    get, path = "/v1/projects", operation_id = "list_projects", tag = "projects", security(("key" = ["read"])),
    params(params::Paging),
    responses((status = 200, description = "One page.", body = PageJson<ProjectJson>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Json<PageJson<ProjectJson>>, Problem> {
    caller.must(Scope::Read)?;
    let mut query = Query::parse(raw.as_deref());
    let owner = Owner { list: "projects", project: caller.project };
    let paging = query.paging_of(owner);
    query.finish()?;
    let page = projects::page(&api.store, caller.reader(), paging.after, paging.limit).await?;
    Ok(Json(PageJson {
        items: page.items.into_iter().map(ProjectJson::from).collect(),
        next_cursor: page.next.map(|id| owner.write(id)),
    }))
}

/// Tells of one project.
#[utoipa::path(
    get, path = "/v1/projects/{id}", operation_id = "get_project", tag = "projects", security(("key" = ["read"])),
    params(("id" = String, Path, description = "The project's id or name.", example = "default")),
    responses((status = 200, description = "The project.", body = ProjectJson)),
    extensions(("x-problems" = json!(["project-not-found"]))),
)]
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
) -> Result<Json<ProjectJson>, Problem> {
    caller.must(Scope::Read)?;
    Ok(Json(find(&api, caller.reader(), &project).await?.into()))
}

/// Makes a project. Its name makes a repeat safe: the second one is told that it exists.
#[utoipa::path(
    post, path = "/v1/projects", operation_id = "create_project", tag = "projects", security(("key" = ["admin"])),
    request_body = NameRequest,
    responses((status = 201, description = "The project.", body = ProjectJson)),
    extensions(("x-problems" = json!(["project-exists"]))),
)]
pub(crate) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    RawBody(body): RawBody,
) -> Result<(StatusCode, Json<ProjectJson>), Problem> {
    caller.must(Scope::Admin)?;
    let name = name(&body)?;
    let id = projects::create(&api.store, &name, &caller.by()).await?.ok_or(ProblemKind::ProjectExists)?;
    tracing::info!(project.id = %id, key.id = %caller.key, "project {id} was made");
    Ok((StatusCode::CREATED, Json(find(&api, Reader::Operator, &id.to_string()).await?.into())))
}

/// Gives a project another name.
///
/// Keys and jobs are not touched. Whoever names the project, on a command line or in SQL, uses the new name from then on.
#[utoipa::path(
    patch, path = "/v1/projects/{id}", operation_id = "rename_project", tag = "projects", security(("key" = ["admin"])),
    params(("id" = String, Path, description = "The project's id or name.", example = "default")),
    request_body = NameRequest,
    responses((status = 200, description = "The project as it is now.", body = ProjectJson)),
    extensions(("x-problems" = json!(["project-not-found", "project-exists"]))),
)]
pub(crate) async fn rename(
    State(api): State<ApiState>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
    RawBody(body): RawBody,
) -> Result<Json<ProjectJson>, Problem> {
    caller.must(Scope::Admin)?;
    let name = name(&body)?;
    let found = find(&api, Reader::Operator, &project).await?;
    match projects::rename(&api.store, found.id, &name, &caller.by()).await? {
        Renamed::Done => Ok(Json(find(&api, Reader::Operator, &found.id.to_string()).await?.into())),
        Renamed::Taken => Err(ProblemKind::ProjectExists.into()),
        Renamed::NotFound => Err(ProblemKind::ProjectNotFound.into()),
    }
}

async fn find(api: &ApiState, reader: Reader, id_or_name: &str) -> Result<Project, Problem> {
    projects::get(&api.store, reader, id_or_name).await?.ok_or(ProblemKind::ProjectNotFound.into())
}

fn name(body: &[u8]) -> Result<String, Problem> {
    let mut members = members(body)?;
    let name = members.take("name").and_then(|value| serde_json::from_str::<String>(value.get()).ok());
    if let Some((name, _)) = members.0.first() {
        return Err(Problem::field(&name.escape_debug().to_string(), "is not a field of this request"));
    }
    name.filter(|name| projects::is_name(name)).ok_or_else(|| Problem::field("name", NAME_RULE))
}

fn name_example() -> serde_json::Value {
    serde_json::json!({"name": "acme"})
}

impl From<Project> for ProjectJson {
    fn from(project: Project) -> Self {
        Self { id: project.id, name: project.name, created_at: project.created_at, credential_id: project.credential }
    }
}
