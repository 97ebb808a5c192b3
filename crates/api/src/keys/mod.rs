//! The routes of API keys. A key with `operate` looks after those of its project that may do no more than itself; making one,
//! and everything in other projects, is for `admin`.

mod bodies;
pub(crate) mod changes;
mod view;

use crate::{
    ApiState, Problem, ProblemKind, auth::Caller, cursor::Owner, jobs::list::PageJson, openapi::params, path::KeyPath,
    query::Query,
};
use axum::{
    Json,
    extract::{RawQuery, State},
};
use store::{
    audit::{Action, Entry, Outcome},
    keys::{self, KeyView, Scope},
};
use view::KeyJson;

/// Lists keys, newest first: those of the key's project, or all of them for `admin`. Secrets are in no list.
#[utoipa::path(
    get, path = "/v1/keys", operation_id = "list_keys", tag = "keys", security(("key" = ["operate"])),
    params(params::Paging, ("live" = Option<bool>, Query, description = "`true` leaves out those that are revoked or expired.")),
    responses((status = 200, description = "One page.", body = PageJson<KeyJson>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Json<PageJson<KeyJson>>, Problem> {
    caller.must(Scope::Operate)?;
    let mut query = Query::parse(raw.as_deref());
    let owner = Owner { list: "keys", project: caller.project };
    let paging = query.paging_of(owner);
    let live = query.value("live", "must be true or false").unwrap_or(false);
    query.finish()?;
    let page = keys::page(&api.store, caller.reader(), live, paging.after, paging.limit).await?;
    Ok(Json(PageJson {
        items: page.items.into_iter().map(KeyJson::from).collect(),
        next_cursor: page.next.map(|id| owner.write(id)),
    }))
}

/// Tells of one key.
#[utoipa::path(
    get, path = "/v1/keys/{id}", operation_id = "get_key", tag = "keys", security(("key" = ["operate"])),
    params(("id" = Uuid, Path, description = "The key's id.")),
    responses((status = 200, description = "The key, without its secret.", body = KeyJson)),
    extensions(("x-problems" = json!(["key-not-found"]))),
)]
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    KeyPath(id): KeyPath,
) -> Result<Json<KeyJson>, Problem> {
    caller.must(Scope::Operate)?;
    Ok(Json(find(&api, &caller, id).await?.into()))
}

/// Finds a key that the caller may see.
async fn find(api: &ApiState, caller: &Caller, id: domain::KeyId) -> Result<KeyView, Problem> {
    keys::get(&api.store, caller.reader(), id).await?.ok_or(ProblemKind::KeyNotFound.into())
}

/// Refuses to touch a key that may do more than the caller's, and says so in the audit log.
async fn refuse_stronger(api: &ApiState, caller: &Caller, action: Action, key: &KeyView) -> Result<(), Problem> {
    if caller.covers_key(key) {
        return Ok(());
    }
    let entry = Entry { outcome: Outcome::Refused, ..Entry::done(action, Some(key.project), key.id) };
    api.note(caller, entry).await;
    Err(Problem::from(ProblemKind::InsufficientScope).detail("That key may do more than yours."))
}
