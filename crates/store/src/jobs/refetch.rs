//! A result that fal still holds, for a job that failed or lost it. Free: nothing runs at fal, and no line is added to
//! the ledger.

use crate::{Store, error::Result};
use bytes::Bytes;
use domain::{AttemptId, CredentialId, JobId, ProjectId};
use sha2::{Digest, Sha256};

/// Where a result may be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefetchSource {
    pub state: String,
    pub model: String,
    pub credential: CredentialId,
    /// The attempt that won, or else the newest that fal has a name for.
    pub attempt: Option<(AttemptId, String)>,
    pub has_result: bool,
    /// The job that an earlier refetch of this one has made.
    pub refetched_as: Option<JobId>,
}

/// The job that holds a refetched result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refetched {
    Created(JobId),
    /// An earlier refetch has made it.
    Found(JobId),
    /// The source is gone or its state has changed.
    Gone,
}

/// Says where a job's result may be read again; nothing where the job is not there or is another project's.
pub async fn refetch_source(store: &Store, project: Option<ProjectId>, id: JobId) -> Result<Option<RefetchSource>> {
    let row = sqlx::query!(
        r#"
        select j.state, j.model, j.credential_id as "credential: CredentialId", a.id as "attempt?: AttemptId",
            a.request_id as "request_id?",
            exists (select from falconer.results r where r.job_id = j.id and r.attempt_id = j.winner) as "has_result!",
            (select n.id from falconer.jobs n where n.refetched_from = j.id limit 1) as "refetched_as: JobId"
        from falconer.jobs j
        left join lateral (
            select a.id, a.request_id from falconer.attempts a
            where a.job_id = j.id and a.request_id is not null
            order by coalesce(a.id = j.winner, false) desc, a.number desc
            limit 1
        ) as a on true
        where j.id = $1 and ($2::uuid is null or j.project_id = $2)
        "#,
        id.0,
        project.map(|id| id.0),
    )
    .fetch_optional(&store.pools.api)
    .await?;
    Ok(row.map(|row| RefetchSource {
        state: row.state,
        model: row.model,
        credential: row.credential,
        attempt: row.attempt.zip(row.request_id),
        has_result: row.has_result,
        refetched_as: row.refetched_as,
    }))
}

/// Stores the bytes of a succeeded job whose result was lost. Answers whether they were missing.
pub async fn restore_result(store: &Store, job: JobId, body: &Bytes) -> Result<bool> {
    let sha256 = Sha256::digest(body);
    let done = sqlx::query!(
        "insert into falconer.results (job_id, attempt_id, body, body_sha256, stored_at)
         select j.id, j.winner, $2, $3, falconer.now() from falconer.jobs j where j.id = $1 and j.state = 'succeeded'
         on conflict do nothing",
        job.0,
        &body[..],
        sha256.as_slice(),
    )
    .execute(&store.pools.api)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes a succeeded job out of the result that `attempt` of the failed job `source` has at fal after all.
///
/// The new job has the ids of `fresh`. A second refetch of the same job finds the first one's. The copy of the attempt
/// keeps fal's request id, whose binding stays with the original.
pub async fn insert_refetched(
    store: &Store,
    source: JobId,
    attempt: AttemptId,
    fresh: (JobId, AttemptId),
    body: &Bytes,
) -> Result<Refetched> {
    let mut tx = store.pools.api.begin().await?;
    let state = sqlx::query_scalar!("select state from falconer.jobs where id = $1 for update", source.0)
        .fetch_optional(&mut *tx)
        .await?;
    if state.as_deref() != Some("failed") {
        return Ok(Refetched::Gone);
    }
    let earlier = sqlx::query_scalar!(
        r#"select id as "id: JobId" from falconer.jobs where refetched_from = $1 limit 1"#,
        source.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(earlier) = earlier {
        return Ok(Refetched::Found(earlier));
    }
    let sha256 = Sha256::digest(body);
    let made = sqlx::query!(
        r#"
        with clock as materialized (select falconer.now() as now),
        job as (
            insert into falconer.jobs (id, project_id, credential_id, lane_id, model, input, input_sha256, mints_seed,
                state, priority, run_at, claim_key, on_unknown, attempts_opened, attempts_max, tags, metadata,
                created_at, started_at, finished_at, winner, refetched_from, origin)
            select $2, j.project_id, j.credential_id, j.lane_id, j.model, j.input, j.input_sha256, j.mints_seed,
                'succeeded', j.priority, clock.now, clock.now, j.on_unknown, 1, j.attempts_max, j.tags, j.metadata,
                clock.now, clock.now, clock.now, $3, j.id, j.origin
            from falconer.jobs j, clock where j.id = $1
            returning id, project_id
        ),
        attempt as (
            insert into falconer.attempts (job_id, id, project_id, credential_id, model, number, state, counted, seed,
                lease_owner, lease_until, fence, claimed_at, submitted_at, finished_at, run_deadline, abandon_at,
                request_id, gateway_request_id, bound_by, billable_units, result_from, posted_by)
            select job.id, $3, a.project_id, a.credential_id, a.model, 1, 'succeeded', false, a.seed,
                a.lease_owner, clock.now, a.fence, clock.now, clock.now, clock.now, clock.now, clock.now,
                a.request_id, a.gateway_request_id, a.bound_by, a.billable_units, 'refetch', a.posted_by
            from falconer.attempts a, job, clock
            where a.job_id = $1 and a.id = $4 and a.request_id is not null
            returning job_id
        ),
        result as (
            insert into falconer.results (job_id, attempt_id, body, body_sha256, stored_at)
            select job_id, $3, $5, $6, clock.now from attempt, clock
        ),
        logged as (
            insert into falconer.transitions (job_id, attempt_number, version, at, event, attempt_to, job_to,
                job_version)
            select job_id, 1, 1, clock.now, 'refetched', 'succeeded', 'succeeded', 1 from attempt, clock
        ),
        told as (
            insert into falconer.job_events (job_id, id, project_id, type, created_at)
            select job.id, $7, job.project_id, 'job.succeeded', clock.now from job, clock
        )
        select count(*) as "made!" from attempt
        "#,
        source.0,
        fresh.0.0,
        fresh.1.0,
        attempt.0,
        &body[..],
        sha256.as_slice(),
        crate::fresh_id(),
    )
    .fetch_one(&mut *tx)
    .await?;
    if made.made != 1 {
        return Ok(Refetched::Gone);
    }
    tx.commit().await?;
    Ok(Refetched::Created(fresh.0))
}
