//! Ids in paths. What is no id is answered as what is not there.

use crate::{ApiState, Problem, ProblemKind};
use axum::extract::{FromRequestParts, RawPathParams};
use domain::{CallbackId, CredentialId, EventId, JobId, KeyId};
use http::request::Parts;
use std::str::FromStr;

pub(crate) struct JobPath(pub(crate) JobId);
pub(crate) struct CallbackPath(pub(crate) CallbackId);
pub(crate) struct EventPath(pub(crate) EventId);
pub(crate) struct KeyPath(pub(crate) KeyId);
pub(crate) struct CredentialPath(pub(crate) CredentialId);
/// A project's id or name.
pub(crate) struct ProjectPath(pub(crate) String);
/// What its reader calls itself.
pub(crate) struct ConsumerPath(pub(crate) String);
/// fal's name for a request.
pub(crate) struct RequestIdPath(pub(crate) String);

impl FromRequestParts<ApiState> for JobPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        id(parts).await.map(Self).ok_or_else(|| ProblemKind::JobNotFound.into())
    }
}

impl FromRequestParts<ApiState> for CallbackPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        id(parts).await.map(Self).ok_or_else(|| ProblemKind::CallbackNotFound.into())
    }
}

impl FromRequestParts<ApiState> for EventPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        id(parts).await.map(Self).ok_or_else(|| ProblemKind::EventNotFound.into())
    }
}

impl FromRequestParts<ApiState> for KeyPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        id(parts).await.map(Self).ok_or_else(|| ProblemKind::KeyNotFound.into())
    }
}

impl FromRequestParts<ApiState> for CredentialPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        id(parts).await.map(Self).ok_or_else(|| ProblemKind::CredentialNotFound.into())
    }
}

impl FromRequestParts<ApiState> for ProjectPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        let text: Option<String> = id(parts).await;
        text.filter(|text| !text.contains('\0')).map(Self).ok_or_else(|| ProblemKind::ProjectNotFound.into())
    }
}

impl FromRequestParts<ApiState> for ConsumerPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        let text: Option<String> = param(parts, "name").await;
        text.filter(|text| !text.contains('\0')).map(Self).ok_or_else(|| ProblemKind::ConsumerNotFound.into())
    }
}

impl FromRequestParts<ApiState> for RequestIdPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        let text: Option<String> = param(parts, "request_id").await;
        // Postgres takes no NUL in text, so no request has it in its name.
        text.filter(|text| !text.contains('\0')).map(Self).ok_or_else(|| ProblemKind::OrphanChargeNotFound.into())
    }
}

async fn id<T: FromStr>(parts: &mut Parts) -> Option<T> {
    param(parts, "id").await
}

async fn param<T: FromStr>(parts: &mut Parts, wanted: &str) -> Option<T> {
    let params = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    let (_, text) = params.iter().find(|(name, _)| *name == wanted)?;
    text.parse().ok()
}
