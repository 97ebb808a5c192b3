//! Who calls: the key in `Authorization: Bearer flc_…`, and what it allows.

use crate::{ApiState, Problem, ProblemKind};
use axum::extract::{ConnectInfo, FromRequestParts};
use domain::{KeyId, ProjectId};
use http::{header::AUTHORIZATION, request::Parts};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use store::{
    audit::{Actor, By},
    callbacks::Reader,
    keys::{self, Authenticated, KeySecret, KeyView, Payloads, Scope, Scopes},
};
use tokio::time::Instant;

/// How long a key is believed without a look. A revoked key is cut off everywhere within five seconds.
const BELIEVED_FOR: Duration = Duration::from_secs(4);

/// How often a request that takes long asks whether its key still counts. With the time that a key is believed, this must be
/// less than the five seconds.
const RECHECKED_EVERY: Duration = Duration::from_millis(500);

/// Keys that are remembered at once.
const REMEMBERED_MAX: usize = 10_000;

/// A caller whose key was checked. There is no other way to make one in a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub key: KeyId,
    pub project: ProjectId,
    pub payloads: Payloads,
    scopes: Scopes,
    sha256: [u8; 32],
    peer: Option<IpAddr>,
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

    /// Refuses a caller whose key may not see what was handed in and what fal made of it.
    pub fn must_see_payloads(&self) -> Result<(), Problem> {
        if self.payloads.are_hidden() { Err(ProblemKind::PayloadsHidden.into()) } else { Ok(()) }
    }

    /// Takes out of a problem what fal said, which may quote an input, where the caller may not see payloads.
    pub fn without_words(&self, problem: Problem) -> Problem {
        if self.payloads.are_hidden() { problem.kind.into() } else { problem }
    }

    pub fn is_admin(&self) -> bool {
        self.scopes.is_admin()
    }

    /// Whether another key may do nothing that this one may not.
    pub fn covers(&self, scopes: &Scopes, payloads: Payloads) -> bool {
        self.scopes.cover(scopes) && (payloads.are_hidden() || !self.payloads.are_hidden())
    }

    /// As [`Caller::covers`], of a key that is there.
    pub fn covers_key(&self, key: &KeyView) -> bool {
        self.covers(&key.scopes(), Payloads::stored(&key.payloads))
    }

    /// The caller in the audit log.
    pub fn by(&self) -> By {
        By { actor: Actor::Key(self.key), peer: self.peer }
    }

    /// Refuses a caller whose key has ended, or allows less than when the request came in. For requests that take long: a
    /// key is cut off within five seconds there too.
    pub async fn recheck(&self, api: &ApiState) -> Result<(), Problem> {
        let found = look_up(api, self.sha256).await?;
        let same = found.scopes.cover(&self.scopes) && (!found.payloads.are_hidden() || self.payloads.are_hidden());
        if same { Ok(()) } else { Err(ProblemKind::InsufficientScope.into()) }
    }

    /// Returns once the key has ended, or allows less. An outage of the database ends nobody.
    pub async fn refused(&self, api: &ApiState) {
        loop {
            tokio::time::sleep(RECHECKED_EVERY).await;
            if let Err(problem) = self.recheck(api).await
                && matches!(problem.kind, ProblemKind::Unauthenticated | ProblemKind::InsufficientScope)
            {
                return;
            }
        }
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
        let found = look_up(api, sha256).await?;
        api.rates.count(&found)?;
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(Self {
            key: found.key,
            project: found.project,
            payloads: found.payloads,
            scopes: found.scopes,
            sha256,
            peer,
        })
    }
}

/// Finds whose key it is, or refuses it. Asks the database where nobody did a moment ago.
async fn look_up(api: &ApiState, sha256: [u8; 32]) -> Result<Authenticated, Problem> {
    if let Some(found) = api.keys.find(&sha256) {
        return Ok(found);
    }
    let found = keys::authenticate(&api.store, &sha256).await?.ok_or(ProblemKind::Unauthenticated)?;
    api.keys.remember(sha256, found.clone());
    Ok(found)
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
