//! Keys that are made, rotated and revoked. A secret is told once, in the answer that makes it.

use super::{bodies, find, refuse_stronger, view::KeyJson, view::MadeJson};
use crate::{ApiState, Problem, ProblemKind, auth::Caller, body::RawBody, idempotency, openapi::params, path::KeyPath};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use domain::KeyId;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use store::{
    audit::Action,
    keys::{self, KeySecret, Made, Revoked, Rotated, Rotation, Scope},
};

/// Makes a key, for any project.
///
/// The answer holds the secret, which is shown this once and kept nowhere. A repeat with the same `Idempotency-Key` is
/// answered 200 with the key and without its secret: whoever lost the first answer revokes the key and makes another.
#[utoipa::path(
    post, path = "/v1/keys", operation_id = "create_key", tag = "keys", security(("key" = ["admin"])),
    params(params::OnceOnly),
    request_body = bodies::NewKeyRequest,
    responses(
        (status = 201, description = "The key, with its secret.", body = MadeJson),
        (status = 200, description = "The key that an earlier request made, without its secret.", body = MadeJson, headers(
            ("idempotency-replayed" = String, description = "`true`."),
        )),
    ),
    extensions(("x-problems" = json!(["idempotency-key-reused"]))),
)]
pub(crate) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    caller.must(Scope::Admin)?;
    let once = idempotency::read_once(&headers, "POST /v1/keys", &body)?;
    let key = bodies::new_key(&api, &caller, &body).await?;
    if !caller.covers(&key.scopes, key.payloads) {
        return Err(
            Problem::from(ProblemKind::PayloadsHidden).detail("A key that sees more than yours cannot be made by it.")
        );
    }
    let secret = KeySecret::of_random(&(api.draw)());
    match keys::create_once(&api.store, &key, &secret, &caller.by(), once.as_ref()).await? {
        Made::Created(id) => {
            tracing::info!(key.made = %id, key.id = %caller.key, "key {id} was made");
            made(&api, &caller, id, Some(secret)).await
        }
        Made::Replayed(id) => made(&api, &caller, id, None).await,
        Made::KeyReused => Err(ProblemKind::IdempotencyKeyReused.into()),
    }
}

/// Makes a new secret for what a key is, and lets the old one count a little longer.
///
/// The new key has the same name, project, scopes and limits. At most two of a line count at once. With `operate` a key
/// rotates itself; with `admin` any other. As for a new key the secret is told once, and not to a repeat.
#[utoipa::path(
    post, path = "/v1/keys/{id}/rotate", operation_id = "rotate_key", tag = "keys", security(("key" = ["operate"])),
    params(("id" = Uuid, Path, description = "The key's id."), params::OnceOnly),
    request_body(content = Option<bodies::RotateRequest>, content_type = "application/json"),
    responses(
        (status = 201, description = "The new key, with its secret.", body = MadeJson),
        (status = 200, description = "The key that an earlier request made, without its secret.", body = MadeJson, headers(
            ("idempotency-replayed" = String, description = "`true`."),
        )),
    ),
    extensions(("x-problems" = json!(["key-not-found", "key-not-rotatable", "idempotency-key-reused"]))),
)]
pub(crate) async fn rotate(
    State(api): State<ApiState>,
    caller: Caller,
    KeyPath(id): KeyPath,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    caller.must(Scope::Operate)?;
    let once = idempotency::read_once(&headers, &format!("POST /v1/keys/{id}/rotate"), &body)?;
    let key = find(&api, &caller, id).await?;
    refuse_stronger(&api, &caller, Action::KeyRotated, &key).await?;
    if !caller.is_admin() && caller.key != id {
        return Err(Problem::from(ProblemKind::InsufficientScope).detail("Without `admin` a key rotates itself alone."));
    }
    let asked = bodies::rotation(&api, &body).await?;
    if let (Some(wanted), Some(end), false) = (asked.expires_at, key.expires_at, caller.is_admin())
        && wanted > end
    {
        return Err(Problem::field("expires_at", "must not be later than the end of the key that is rotated"));
    }
    let rotation = Rotation { key: id, grace: asked.grace, expires_at: asked.expires_at };
    let secret = KeySecret::of_random(&(api.draw)());
    match keys::rotate(&api.store, caller.reader(), &rotation, &secret, &caller.by(), once.as_ref()).await? {
        Rotated::Done(made_id) => {
            tracing::info!(key.made = %made_id, key.rotated = %id, key.id = %caller.key, "key {id} was rotated");
            made(&api, &caller, made_id, Some(secret)).await
        }
        Rotated::Replayed(made_id) => made(&api, &caller, made_id, None).await,
        Rotated::KeyReused => Err(ProblemKind::IdempotencyKeyReused.into()),
        Rotated::NotFound => Err(ProblemKind::KeyNotFound.into()),
        Rotated::Refused(why) => {
            Err(Problem::from(ProblemKind::KeyNotRotatable).detail(format!("The key cannot be rotated: {why}.")))
        }
    }
}

/// Revokes a key. Every process refuses it within five seconds; a second time changes nothing.
#[utoipa::path(
    post, path = "/v1/keys/{id}/revoke", operation_id = "revoke_key", tag = "keys", security(("key" = ["operate"])),
    params(("id" = Uuid, Path, description = "The key's id.")),
    responses((status = 200, description = "The key as it is now.", body = KeyJson)),
    extensions(("x-problems" = json!(["key-not-found"]))),
)]
pub(crate) async fn revoke(
    State(api): State<ApiState>,
    caller: Caller,
    KeyPath(id): KeyPath,
) -> Result<Json<KeyJson>, Problem> {
    caller.must(Scope::Operate)?;
    let key = find(&api, &caller, id).await?;
    refuse_stronger(&api, &caller, Action::KeyRevoked, &key).await?;
    match keys::revoke(&api.store, caller.reader(), id, &caller.by()).await? {
        Revoked::Done => tracing::info!(key.revoked = %id, key.id = %caller.key, "key {id} was revoked"),
        Revoked::Already => {}
        Revoked::NotFound => return Err(ProblemKind::KeyNotFound.into()),
    }
    Ok(Json(find(&api, &caller, id).await?.into()))
}

async fn made(api: &ApiState, caller: &Caller, id: KeyId, secret: Option<KeySecret>) -> Result<Response, Problem> {
    let key = find(api, caller, id).await?;
    let is_new = secret.is_some();
    let body = Json(MadeJson { key: key.into(), secret: secret.map(|secret| secret.expose().to_owned()) });
    if is_new {
        return Ok((StatusCode::CREATED, body).into_response());
    }
    let replayed = (HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"));
    Ok((StatusCode::OK, [replayed], body).into_response())
}
