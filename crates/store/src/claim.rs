//! Jobs out: claims a batch of ready jobs within the account's free slots and commits an attempt for each, before any
//! byte leaves.

use crate::{Store, error::Result};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{AttemptId, CredentialId, JobId, ProjectId, Timeouts};
use failpoints::Point;
use uuid::Uuid;

/// What a claim asks for.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest<'a> {
    pub credential: CredentialId,
    /// Made afresh at every start of a process, so that nobody keeps alive what a dead namesake held.
    pub owner: Uuid,
    /// Attempts that may be open at fal at once: slots and margin.
    pub places: u32,
    pub timeouts: &'a Timeouts,
    /// An id and a seed for each attempt that may be made; as many as the batch may hold.
    pub fresh: &'a [(AttemptId, i64)],
}

/// One attempt that was committed and may be sent. Whoever holds it has until `lease` to record what fal said.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub attempt: AttemptId,
    pub job: JobId,
    pub project: ProjectId,
    pub credential: CredentialId,
    pub model: String,
    /// Counts from 1 within the job.
    pub number: u16,
    pub input: Bytes,
    /// Present where the model takes a seed and the caller gave none.
    pub seed: Option<i64>,
    /// Fences whoever lost the lease.
    pub fence: i64,
    pub claimed_at: DateTime<Utc>,
    /// How long after the job was ready it was claimed.
    pub waited_seconds: f64,
}

/// Claims ready jobs of one credential, lanes in turn, inside a lane by claim key.
///
/// Answers with nothing while another process claims for the same credential: that one sees the same rows. Lanes that
/// are paused, or whose circuit is open, are not scanned; one whose circuit may be probed gives one job.
/// Reads the indexes `attempts_due`, which holds just the open attempts, and `jobs_ready`.
pub async fn claim(store: &Store, request: &ClaimRequest<'_>) -> Result<Vec<Claimed>> {
    let mut tx = store.pools.work.begin().await?;
    // Slots are counted and filled by one process at a time. The lock comes in a statement of its own, so that the
    // count below sees what its last holder committed.
    let alone = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended('falconer.claim:' || $1::text, 0)) as "alone!""#,
        request.credential.0.to_string(),
    )
    .fetch_one(&mut *tx)
    .await?;
    if !alone {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = request.fresh.iter().map(|(id, _)| id.0).collect();
    let seeds: Vec<i64> = request.fresh.iter().map(|(_, seed)| *seed).collect();
    let timeouts = request.timeouts;
    let claimed = sqlx::query_file!(
        "src/claim.sql",
        request.credential.0,
        i64::from(request.places),
        &ids,
        &seeds,
        request.owner,
        timeouts.lease.as_secs_f64(),
        (timeouts.start + timeouts.run).as_secs_f64(),
        timeouts.abandon_after.as_secs_f64(),
    )
    .fetch_all(&mut *tx)
    .await?;
    if !claimed.is_empty() {
        failpoints::hit(Point::ClaimBeforeCommit);
    }
    tx.commit().await?;
    if !claimed.is_empty() {
        failpoints::hit(Point::ClaimAfterCommit);
    }
    Ok(claimed
        .into_iter()
        .map(|row| Claimed {
            attempt: row.attempt,
            job: row.job,
            project: row.project,
            credential: request.credential,
            model: row.model,
            number: row.number.unsigned_abs(),
            input: row.input.into(),
            seed: row.seed,
            fence: row.fence,
            claimed_at: row.claimed_at,
            waited_seconds: row.waited_seconds,
        })
        .collect())
}

/// Says which of these credentials have a job that is ready, or would be but for its circuit: a claim for each of many that
/// have none would be as many statements every second.
pub async fn with_ready_jobs(store: &Store, credentials: &[CredentialId]) -> Result<Vec<CredentialId>> {
    let ids: Vec<Uuid> = credentials.iter().map(|id| id.0).collect();
    let ready = sqlx::query_scalar!(
        r#"with clock as materialized (select falconer.now() as now)
           select distinct l.credential_id as "id: CredentialId" from falconer.lanes l
           where l.credential_id = any($1) and l.paused_at is null and exists (
               select from falconer.jobs j
               where j.lane_id = l.id and j.state = 'queued' and j.run_at <= (select now from clock))"#,
        &ids,
    )
    .fetch_all(&store.pools.work)
    .await?;
    Ok(ready)
}

#[cfg(test)]
mod tests;
