//! Bodies: whole, bounded in size and time, and not yet parsed.

use crate::{ApiState, Problem, ProblemKind};
use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::time::Duration;

/// The bytes of a body of ordinary size.
pub(crate) struct RawBody(pub(crate) Bytes);

impl FromRequest<ApiState> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &ApiState) -> Result<Self, Problem> {
        let limits = api.limits;
        read(request.into_body(), limits.body_bytes_max, limits.body_timeout).await.map(Self)
    }
}

/// Reads a body of at most `bytes_max`.
pub(crate) async fn read(body: Body, bytes_max: usize, timeout: Duration) -> Result<Bytes, Problem> {
    let whole = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(timeout, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::from(ProblemKind::BodyTooLarge).detail(format!("The limit is {bytes_max} bytes.")))
        }
        Ok(Err(_)) => Err(Problem::field("body", "must arrive whole")),
        Err(_) => Err(ProblemKind::RequestTimeout.into()),
    }
}
