//! Jobs that somebody else sends to fal: a callback URL for what is sent next (`urls`), and a request that is under way
//! already (`requests`).

mod body;
pub(crate) mod requests;
pub(crate) mod urls;

use axum::response::Response;
use domain::Timeouts;
use http::{HeaderName, HeaderValue};
use url::Url;

/// What the routes of adoption work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AdoptSettings {
    /// Base of the callback URLs. Without it fal could not call, and none is handed out.
    pub callback_base: Option<Url>,
    pub timeouts: Timeouts,
}

/// Says that the job was there before.
fn replayed(response: &mut Response) {
    let name = HeaderName::from_static("idempotency-replayed");
    response.headers_mut().insert(name, HeaderValue::from_static("true"));
}
