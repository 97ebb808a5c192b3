//! Who calls: the key in `Authorization: Bearer flc_…`, and what it allows.

use crate::{ApiState, Problem, ProblemKind};
use axum::extract::FromRequestParts;
use domain::{KeyId, ProjectId};
use http::{header::AUTHORIZATION, request::Parts};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use store::{
    callbacks::Reader,
    keys::{self, Authenticated, KeySecret, Scope, Scopes},
};
use tokio::time::Instant;

/// How long a key is believed without a look. A revoked key is cut off everywhere within five seconds.
const BELIEVED_FOR: Duration = Duration::from_secs(4);

/// Keys that are remembered at once.
const REMEMBERED_MAX: usize = 10_000;

/// A caller whose key was checked. There is no other way to make one in a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub key: KeyId,
    pub project: ProjectId,
    scopes: Scopes,
}

/// The keys that were checked a moment ago. Cheap to clone; all clones share them.
#[derive(Clone, Debug, Default)]
pub struct KeyCache {
    checked: Arc<Mutex<Checked>>,
}

/// By the SHA-256 of the secret: what was found, and when.
type Checked = HashMap<[u8; 32], (Authenticated, Instant)>;

impl Caller {
    /// Refuses a caller whose key does not allow this.
    pub fn must(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.allow(scope) { Ok(()) } else { Err(ProblemKind::InsufficientScope.into()) }
    }

    /// Whose callbacks the caller may see.
    pub fn reader(&self) -> Reader {
        if self.scopes.is_admin() { Reader::Operator } else { Reader::Project(self.project) }
    }
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &ApiState) -> Result<Self, Problem> {
        let secret = bearer(parts).ok_or(ProblemKind::Unauthenticated)?;
        // The secret is hashed before anything is compared, so that no comparison tells of it.
        let sha256 = secret.sha256();
        let found = if let Some(found) = api.keys.find(&sha256) {
            found
        } else {
            let found = keys::authenticate(&api.store, &sha256).await?.ok_or(ProblemKind::Unauthenticated)?;
            api.keys.remember(sha256, found.clone());
            found
        };
        Ok(Self { key: found.key, project: found.project, scopes: found.scopes })
    }
}

impl KeyCache {
    fn find(&self, sha256: &[u8; 32]) -> Option<Authenticated> {
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.get(sha256).filter(|(_, at)| at.elapsed() < BELIEVED_FOR).map(|(found, _)| found.clone())
    }

    fn remember(&self, sha256: [u8; 32], found: Authenticated) {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if checked.len() >= REMEMBERED_MAX {
            checked.retain(|_, (_, at)| at.elapsed() < BELIEVED_FOR);
        }
        if checked.len() < REMEMBERED_MAX {
            checked.insert(sha256, (found, Instant::now()));
        }
    }
}

fn bearer(parts: &Parts) -> Option<KeySecret> {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    KeySecret::parse(token.trim()).ok()
}
