//! Bodies: whole, bounded in size and time, and not yet parsed.

use crate::{
    ApiState, Problem, ProblemKind,
    jobs::batch::media::{Media, media},
};
use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use receiver::{Budget, WholeError, read_whole};
use std::{sync::LazyLock, time::Duration};

/// The memory of all bodies that a process has in hand, beyond the first bytes of each: 512 MiB.
static BODIES: LazyLock<Budget> = LazyLock::new(|| Budget::new(512 << 20));

/// The bytes of a JSON body of ordinary size.
pub(crate) struct RawBody(pub(crate) Bytes);

impl FromRequest<ApiState> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &ApiState) -> Result<Self, Problem> {
        const READS: &str = "The body is application/json.";
        if media(request.headers(), READS)? != Media::Json {
            return Err(Problem::from(ProblemKind::UnsupportedMediaType).detail(READS));
        }
        let limits = api.limits;
        read(request.into_body(), limits.body_bytes_max, limits.body_timeout).await.map(Self)
    }
}

/// Reads a body of at most `bytes_max`.
pub(crate) async fn read(body: Body, bytes_max: usize, timeout: Duration) -> Result<Bytes, Problem> {
    match tokio::time::timeout(timeout, read_whole(body, bytes_max, &BODIES)).await {
        Ok(Ok(whole)) => Ok(whole),
        Ok(Err(WholeError::TooLarge)) => {
            Err(Problem::from(ProblemKind::BodyTooLarge).detail(format!("The limit is {bytes_max} bytes.")))
        }
        Ok(Err(WholeError::Broken)) => Err(Problem::field("body", "must arrive whole")),
        Ok(Err(WholeError::NoRoom)) => Err(ProblemKind::Unavailable.into()),
        Err(_) => Err(ProblemKind::RequestTimeout.into()),
    }
}
