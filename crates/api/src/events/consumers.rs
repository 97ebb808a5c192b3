//! `/v1/consumers`: who reads the feed under a name, and how far.

use super::{NAME_RULE, is_name, refuse_rest, text, view::ConsumerJson};
use crate::{
    ApiState, Problem, ProblemKind,
    auth::Caller,
    body::RawBody,
    jobs::list::PageJson,
    members::{Members, members},
    openapi::bodies::NewConsumer,
    path::ConsumerPath,
    query::Query,
};
use axum::{
    Json,
    extract::{RawQuery, State},
};
use http::StatusCode;
use store::{
    events::{self, CONSUMERS_MAX, Created, StartAt},
    keys::Scope,
};

/// Lists the project's consumers by name.
///
/// There are at most 100, and they come as one page.
#[utoipa::path(
    get, path = "/v1/consumers", operation_id = "list_consumers", tag = "events", security(("key" = ["read"])),
    responses((status = 200, description = "All of them.", body = PageJson<ConsumerJson>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Json<PageJson<ConsumerJson>>, Problem> {
    caller.must(Scope::Read)?;
    Query::parse(raw.as_deref()).finish()?;
    let all = events::list(&api.store, caller.project).await?;
    let items = all.into_iter().map(|(consumer, unread)| ConsumerJson::listed(consumer, unread));
    Ok(Json(PageJson { items: items.collect(), next_cursor: None }))
}

/// Makes a consumer that begins with the oldest retained event, or with the next one.
#[utoipa::path(
    post, path = "/v1/consumers", operation_id = "create_consumer", tag = "events", security(("key" = ["read"])),
    request_body = NewConsumer,
    responses((status = 201, description = "It was made.", body = ConsumerJson)),
    extensions(("x-problems" = json!(["consumer-exists", "too-many-consumers"]))),
)]
pub(crate) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    RawBody(body): RawBody,
) -> Result<(StatusCode, Json<ConsumerJson>), Problem> {
    caller.must(Scope::Read)?;
    let mut members = members(&body)?;
    let name = text(&mut members, "name", NAME_RULE)?;
    let from = start_at(&mut members)?;
    refuse_rest(&members)?;
    if !is_name(&name) {
        return Err(Problem::field("name", NAME_RULE));
    }
    match events::create(&api.store, caller.project, &name, from).await? {
        Created::Done(consumer) => Ok((StatusCode::CREATED, Json(consumer.into()))),
        Created::Exists(_) => Err(ProblemKind::ConsumerExists.into()),
        Created::TooMany => {
            Err(Problem::from(ProblemKind::TooManyConsumers).detail(format!("The limit is {CONSUMERS_MAX}.")))
        }
    }
}

/// Forgets a consumer and its position. The events stay.
#[utoipa::path(
    delete, path = "/v1/consumers/{name}", operation_id = "delete_consumer", tag = "events", security(("key" = ["read"])),
    params(("name" = String, Path, description = "The consumer's name.", example = "web")),
    responses((status = 204, description = "It is forgotten.")),
    extensions(("x-problems" = json!(["consumer-not-found"]))),
)]
pub(crate) async fn delete(
    State(api): State<ApiState>,
    caller: Caller,
    ConsumerPath(name): ConsumerPath,
) -> Result<StatusCode, Problem> {
    caller.must(Scope::Read)?;
    if !events::delete(&api.store, caller.project, &name).await? {
        return Err(ProblemKind::ConsumerNotFound.into());
    }
    tracing::info!(consumer = name, key.id = %caller.key, "a consumer was deleted");
    Ok(StatusCode::NO_CONTENT)
}

fn start_at(members: &mut Members<'_>) -> Result<StartAt, Problem> {
    const RULE: &str = "must be beginning or now";
    if !members.has("from") {
        return Ok(StartAt::Beginning);
    }
    match text(members, "from", RULE)?.as_str() {
        "beginning" => Ok(StartAt::Beginning),
        "now" => Ok(StartAt::Now),
        _ => Err(Problem::field("from", RULE)),
    }
}
