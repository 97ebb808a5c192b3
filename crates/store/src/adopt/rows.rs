//! The rows of a job that somebody else sends: job, attempt and the first line of their history, in one statement.

use super::Told;
use crate::{
    error::Result,
    lanes::{self, LaneKey},
};
use chrono::{DateTime, Utc};
use domain::{Adoption, CredentialId};
use sqlx::PgConnection;
use uuid::Uuid;

/// When what becomes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) now: DateTime<Utc>,
    pub(super) run_deadline: DateTime<Utc>,
    pub(super) abandon_at: DateTime<Utc>,
    pub(super) next_look_at: DateTime<Utc>,
}

/// Reads the clock that everything is scheduled by.
pub(super) async fn now(tx: &mut PgConnection) -> Result<DateTime<Utc>> {
    Ok(sqlx::query_scalar!(r#"select falconer.now() as "now!""#).fetch_one(tx).await?)
}

/// Finds who pays for the job, and the lane of that account.
pub(super) async fn lane(tx: &mut PgConnection, told: &Told) -> Result<lanes::Lane> {
    let key = LaneKey { credential: None, project: told.project, model: told.model.clone() };
    let lanes = lanes::find_or_insert(tx, std::slice::from_ref(&key)).await?;
    lanes.get(&key).copied().ok_or_else(|| crate::Error::Row(sqlx::Error::RowNotFound))
}

/// Inserts the job with its attempt. Nobody holds a lease of it, since nobody here sends it.
pub(super) async fn insert(
    tx: &mut PgConnection,
    told: &Told,
    adoption: &Adoption,
    lane: lanes::Lane,
    times: Times,
) -> Result<CredentialId> {
    let job = told.job();
    sqlx::query!(
        "with job as (
             insert into falconer.jobs (id, project_id, credential_id, lane_id, model, input, input_sha256, origin, state,
                 on_unknown, run_at, claim_key, attempts_opened, attempts_made, attempts_max, tags, metadata, created_at,
                 started_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $12, $12, $13, $14, $11, $11)
             returning id
         ),
         attempt as (
             insert into falconer.attempts (job_id, id, project_id, credential_id, model, number, state, posted_by,
                 lease_owner, lease_until, fence, claimed_at, submitted_at, run_deadline, abandon_at, next_look_at,
                 request_id, bound_by)
             select job.id, $15, $2, $3, $5, 1, $16, 'caller', $17, $11, nextval('falconer.fences'), $11,
                 case when $18::text is not null then $11::timestamptz end, $19, $20, $21, $18,
                 case when $18::text is not null then 'adopt' end
             from job
         )
         insert into falconer.transitions (job_id, attempt_number, version, at, event, attempt_to, job_to, job_version)
         select job.id, 1, 1, $11, $8, $16, $9, 1 from job",
        told.job.0,
        told.project.0,
        lane.credential.0,
        lane.id,
        told.model,
        &job.input[..],
        &job.input_sha256[..],
        adoption.as_str(),
        adoption.job().as_str(),
        job.on_unknown.as_str(),
        times.now,
        i16::try_from(Adoption::ATTEMPTS).unwrap_or(i16::MAX),
        &told.tags,
        told.metadata,
        told.attempt.0,
        adoption.attempt().as_str(),
        Uuid::nil(),
        adoption.request_id().map(|id| id.0.clone()),
        times.run_deadline,
        times.abandon_at,
        times.next_look_at,
    )
    .execute(tx)
    .await?;
    Ok(lane.credential)
}
