//! A key as JSON.

use chrono::{DateTime, Utc};
use domain::{KeyId, ProjectId};
use serde::Serialize;
use store::keys::KeyView;
use utoipa::ToSchema;

/// A key without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyJson {
    #[schema(value_type = Uuid)]
    id: KeyId,
    #[schema(value_type = Uuid)]
    project_id: ProjectId,
    /// The project's name.
    project: String,
    name: String,
    /// The first characters of the secret, to tell keys apart.
    prefix: String,
    scopes: Vec<String>,
    /// `visible` or `hidden`.
    payloads: String,
    /// Null where the server's settings say.
    rate_per_second: Option<i32>,
    burst: Option<i32>,
    /// `live`, `expired` or `revoked`.
    state: &'static str,
    /// The first key of its line: itself, unless a rotation made it.
    #[schema(value_type = Uuid)]
    line_id: KeyId,
    /// The key that made it; null where the command line did.
    #[schema(value_type = Option<Uuid>)]
    made_by: Option<KeyId>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    /// To the minute.
    last_used_at: Option<DateTime<Utc>>,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = MadeKey)]
pub(crate) struct MadeJson {
    #[serde(flatten)]
    pub(super) key: KeyJson,
    /// What callers send. Shown this once; null where an earlier request made the key.
    #[schema(value_type = Option<String>, example = "flc_…")]
    pub(super) secret: Option<String>,
}

impl From<KeyView> for KeyJson {
    fn from(key: KeyView) -> Self {
        Self {
            state: key.state(),
            id: key.id,
            project_id: key.project,
            project: key.project_name,
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes,
            payloads: key.payloads,
            rate_per_second: key.rate_per_second,
            burst: key.burst,
            line_id: key.line,
            made_by: key.made_by,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
        }
    }
}
