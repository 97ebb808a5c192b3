//! What the reconciler looks at: open attempts whose time has come, longest overdue first.

use crate::{Store, error::Result};
use chrono::{DateTime, Utc};
use domain::{AttemptId, CredentialId, JobId, OnUnknown, RequestId};
use rust_decimal::Decimal;
use std::time::Duration;

/// An open attempt that is due for a look.
#[derive(Clone, Debug)]
pub struct DueLook {
    pub attempt: AttemptId,
    pub job: JobId,
    pub credential: CredentialId,
    pub model: String,
    pub stage: Stage,
    /// What the attempt's row said when it was read: a decision is void once it has moved on.
    pub version: i32,
    /// Looks before this one.
    pub looks: u32,
    pub claimed_at: DateTime<Utc>,
    pub submitted_at: Option<DateTime<Utc>>,
    pub run_deadline: DateTime<Utc>,
    pub abandon_at: DateTime<Utc>,
    /// Somebody wants it stopped.
    pub cancel_wanted: bool,
    pub superseded: bool,
    pub on_unknown: OnUnknown,
    /// What the job is expected to cost, in US dollars, where that is known.
    pub estimated: Option<Decimal>,
    /// The database's time at the claim of this look.
    pub now: DateTime<Utc>,
    /// How long it was overdue.
    pub late_seconds: f64,
}

/// What a look is after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Whoever was submitting it has lost the lease.
    LeaseRanOut,
    /// Nobody knows whether fal has it. A candidate is a request id that fal has not confirmed to us.
    Unknown { candidate: Option<RequestId>, seed: Option<i64>, input: Vec<u8> },
    /// Somebody else may have sent it, with a callback URL of ours: fal can be asked about a candidate, and for nothing else.
    Awaited { candidate: Option<RequestId> },
    /// fal has it.
    Submitted { request_id: RequestId },
}

/// Takes up to `limit` due attempts for `hold`, after which they are due again whatever became of the looker.
///
/// Lost leases come first: to say that nobody knows about them costs no question to fal, and a killed process may have
/// left hundreds. Every look pushes the row back, so that rows about which nothing can be done do not keep others from
/// their turn. Reads the index `attempts_due`.
pub async fn claim_due(store: &Store, limit: u32, hold: Duration) -> Result<Vec<DueLook>> {
    let rows = sqlx::query!(
        r#"
        with clock as materialized (select falconer.now() as now),
        due as materialized (
            select a.job_id, a.id, a.next_look_at
            from falconer.attempts a
            where a.state in ('submitting', 'unknown', 'submitted') and a.next_look_at <= (select now from clock)
              and (a.state <> 'submitting' or a.lease_until <= (select now from clock))
            order by a.state = 'submitting' desc, a.next_look_at
            limit $1
            for update skip locked
        )
        update falconer.attempts a
        set next_look_at = clock.now + make_interval(secs => $2), looks = a.looks + 1
        from due, clock, falconer.jobs j
        where a.job_id = due.job_id and a.id = due.id and j.id = due.job_id
        returning a.id as "attempt: AttemptId", a.job_id as "job: JobId", a.credential_id as "credential: CredentialId",
            a.model, a.state, a.version, a.looks, a.claimed_at, a.submitted_at, a.run_deadline, a.abandon_at,
            a.request_id, a.candidate_request_id, a.seed, a.cancel_requested_at is not null as "cancel_wanted!",
            a.superseded_at is not null as "superseded!", j.on_unknown, j.estimated,
            case when a.state = 'unknown' and a.posted_by = 'falconer' then j.input end as input, a.posted_by, clock.now as "now!",
            extract(epoch from clock.now - due.next_look_at)::float8 as "late_seconds!"
        "#,
        i64::from(limit),
        hold.as_secs_f64(),
    )
    .fetch_all(&store.pools.work)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| DueLook {
            attempt: row.attempt,
            job: row.job,
            credential: row.credential,
            model: row.model,
            stage: match (row.state.as_str(), row.request_id) {
                ("submitting", _) => Stage::LeaseRanOut,
                (_, Some(id)) => Stage::Submitted { request_id: RequestId(id) },
                (_, None) if row.posted_by == "caller" => {
                    Stage::Awaited { candidate: row.candidate_request_id.map(RequestId) }
                }
                (_, None) => Stage::Unknown {
                    candidate: row.candidate_request_id.map(RequestId),
                    seed: row.seed,
                    input: row.input.unwrap_or_default(),
                },
            },
            version: row.version,
            looks: row.looks.unsigned_abs().saturating_sub(1),
            claimed_at: row.claimed_at,
            submitted_at: row.submitted_at,
            run_deadline: row.run_deadline,
            abandon_at: row.abandon_at,
            cancel_wanted: row.cancel_wanted,
            superseded: row.superseded,
            on_unknown: OnUnknown::parse(&row.on_unknown).unwrap_or_default(),
            estimated: row.estimated,
            now: row.now,
            late_seconds: row.late_seconds,
        })
        .collect())
}

/// Says how soon the next attempt is due, from now; nothing where none is open. Reads the index `attempts_due`.
pub async fn next_due_in(store: &Store) -> Result<Option<Duration>> {
    let seconds = sqlx::query_scalar!(
        r#"select extract(epoch from next_look_at - falconer.now())::float8 as "seconds!"
           from falconer.attempts where state in ('submitting', 'unknown', 'submitted') order by next_look_at limit 1"#
    )
    .fetch_optional(&store.pools.work)
    .await?;
    Ok(seconds.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0))))
}

/// Which of `request_ids` are bound already. History may list what other attempts own.
pub async fn bound_among(store: &Store, credential: CredentialId, request_ids: &[String]) -> Result<Vec<String>> {
    let rows = sqlx::query_scalar!(
        "select request_id from falconer.request_bindings where credential_id = $1 and request_id = any($2)",
        credential.0,
        request_ids,
    )
    .fetch_all(&store.pools.work)
    .await?;
    Ok(rows)
}

/// Counts due attempts, up to `limit`. Reads the index `attempts_due`.
pub async fn count_due(store: &Store, limit: usize) -> Result<usize> {
    let due = sqlx::query_scalar!(
        r#"with clock as materialized (select falconer.now() as now)
           select count(*) as "due!" from (
               select from falconer.attempts a
               where a.state in ('submitting', 'unknown', 'submitted') and a.next_look_at <= (select now from clock)
                 and (a.state <> 'submitting' or a.lease_until <= (select now from clock))
               limit $1
           ) as due"#,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_one(&store.pools.work)
    .await?;
    Ok(usize::try_from(due).unwrap_or(0))
}

/// Makes attempts due again at once that were claimed for a look and never looked at.
pub async fn hand_back(store: &Store, ids: &[(JobId, AttemptId)]) -> Result<()> {
    let jobs: Vec<uuid::Uuid> = ids.iter().map(|(job, _)| job.0).collect();
    let attempts: Vec<uuid::Uuid> = ids.iter().map(|(_, attempt)| attempt.0).collect();
    sqlx::query!(
        "update falconer.attempts a set next_look_at = falconer.now()
         from unnest($1::uuid[], $2::uuid[]) as n (job_id, id)
         where a.job_id = n.job_id and a.id = n.id and a.state in ('submitting', 'unknown', 'submitted')",
        &jobs,
        &attempts,
    )
    .execute(&store.pools.work)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
