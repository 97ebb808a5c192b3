//! Whether a bill names the one attempt of which nobody knows what became, where fal lists no history.
//!
//! A bill knows request, model, time and price, and no input. So it counts only where nothing else could be meant: one
//! unbound request, one attempt.

use crate::{Store, error::Result};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{AttemptId, CredentialId};

/// An attempt without a request id, and the charge that may be its.
#[derive(Clone, Copy, Debug)]
pub struct Lost<'a> {
    pub attempt: AttemptId,
    pub credential: CredentialId,
    pub model: &'a str,
    /// How long after its claim an attempt at fal may end.
    pub runs_for: TimeDelta,
    /// When fal billed it, from the earliest to the latest that our clocks allow.
    pub billed: (DateTime<Utc>, DateTime<Utc>),
}

/// Which of `request_ids` may be given to an attempt: those that none owns, and that nobody has dismissed.
pub async fn free_among(store: &Store, credential: CredentialId, request_ids: &[String]) -> Result<Vec<String>> {
    let free = sqlx::query_scalar!(
        r#"select n.request_id as "request_id!" from (select distinct unnest($2::text[]) as request_id) as n
           where not exists (select from falconer.request_bindings b
                 where b.credential_id = $1 and b.request_id = n.request_id)
             and not exists (select from falconer.orphan_charges o
                 where o.credential_id = $1 and o.request_id = n.request_id and o.resolution = 'dismissed')"#,
        credential.0,
        request_ids,
    )
    .fetch_all(&store.pools.work)
    .await?;
    Ok(free)
}

/// Whether no other attempt at the same model was under way when the charge was billed and lacks a request id. Given up
/// attempts count as well: fal may have run them.
///
/// Reads `attempts_due` for the open ones, and only where those leave room `attempts_by_id` for the given up ones.
pub async fn is_alone(store: &Store, lost: &Lost<'_>) -> Result<bool> {
    let (earliest, latest) = lost.billed;
    let open = sqlx::query_scalar!(
        r#"select exists (
               select from falconer.attempts a
               where a.state in ('submitting', 'unknown', 'submitted') and a.request_id is null and a.id <> $1
                 and a.credential_id = $2 and a.model = $3 and a.claimed_at <= $5 and a.run_deadline >= $4
           ) as "open!""#,
        lost.attempt.0,
        lost.credential.0,
        lost.model,
        earliest,
        latest,
    )
    .fetch_one(&store.pools.work)
    .await?;
    if open {
        return Ok(false);
    }
    // An attempt's id is minted when it is claimed, by the clock of the process, which may be wrong.
    let since = earliest - lost.runs_for - TimeDelta::hours(2);
    let given_up = sqlx::query_scalar!(
        r#"select exists (
               select from falconer.attempts a
               where a.id >= falconer.uuid_at($5) and a.state = 'abandoned' and a.request_id is null
                 and a.credential_id = $1 and a.model = $2 and a.claimed_at <= $4 and a.run_deadline >= $3
           ) as "given_up!""#,
        lost.credential.0,
        lost.model,
        earliest,
        latest,
        since,
    )
    .fetch_one(&store.pools.work)
    .await?;
    Ok(!given_up)
}
