//! Orphan charges as operators see them.

use crate::{
    Page, Store,
    audit::{self, Action, By, Entry},
    callbacks::Reader,
    error::Result,
};
use chrono::{DateTime, Utc};
use domain::{AttemptId, JobId};
use rust_decimal::Decimal;
use uuid::Uuid;

/// The most charges that one page holds.
const LIST_MAX: u32 = 200;
/// fal lists its bills for 90 days. A resolved charge that were forgotten sooner would be found again.
const KEPT_DAYS: i32 = 180;

/// Which charges are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrphanFilter {
    /// Those that are open, or those that are resolved.
    pub open: Option<bool>,
}

/// A request that fal billed and no attempt explained when it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrphanCharge {
    pub id: Uuid,
    pub request_id: String,
    pub endpoint: String,
    pub billed_at: DateTime<Utc>,
    pub units: Decimal,
    pub unit: String,
    pub unit_price: Decimal,
    pub amount: Decimal,
    pub currency: String,
    pub first_seen_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
    /// `bound` or `dismissed`.
    pub resolution: Option<String>,
    pub job: Option<JobId>,
    pub attempt: Option<AttemptId>,
    pub reason: Option<String>,
}

/// What a dismissal did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dismissed {
    Done(OrphanCharge),
    /// It was resolved before: as it stands.
    Resolved(OrphanCharge),
    NotFound,
}

/// Lists charges whose ids come before `after`, newest first. A project sees those that turned out to be its own attempts',
/// an operator all of them.
pub async fn list(
    store: &Store,
    reader: Reader,
    filter: OrphanFilter,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Page<OrphanCharge, Uuid>> {
    let limit = usize::try_from(limit.clamp(1, LIST_MAX)).unwrap_or(1);
    let items = sqlx::query_as!(
        OrphanCharge,
        r#"select o.id, o.request_id, o.endpoint, o.billed_at, o.units, o.unit, o.unit_price, o.amount, o.currency,
               o.first_seen_at, o.resolved_at, o.resolution, o.job_id as "job: JobId",
               o.attempt_id as "attempt: AttemptId", o.reason
           from falconer.orphan_charges o
           where o.id < $1 and ($2::bool is null or (o.resolved_at is null) = $2)
             and ($3::uuid is null or exists (select from falconer.jobs j where j.id = o.job_id and j.project_id = $3))
           order by o.id desc limit $4"#,
        after.unwrap_or(Uuid::max()),
        filter.open,
        reader.project(),
        i64::try_from(limit + 1).unwrap_or(i64::MAX),
    )
    .fetch_all(&store.pools.api)
    .await?;
    Ok(Page::cut(items, limit, |item| item.id))
}

/// Notes that an open charge needs no further thought, and why. Only an operator may.
pub async fn dismiss(store: &Store, request_id: &str, by: &By, reason: &str) -> Result<Dismissed> {
    let mut tx = store.pools.api.begin().await?;
    let done = sqlx::query!(
        "update falconer.orphan_charges
         set resolved_at = falconer.now(), resolution = 'dismissed', dismissed_by = $2, reason = $3
         where request_id = $1 and resolved_at is null",
        request_id,
        by.key().map(|id| id.0),
        reason,
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() > 0 {
        audit::record(&mut tx, by, &Entry::done(Action::OrphanChargeDismissed, None, request_id)).await?;
    }
    tx.commit().await?;
    let found = sqlx::query_as!(
        OrphanCharge,
        r#"select id, request_id, endpoint, billed_at, units, unit, unit_price, amount, currency, first_seen_at,
               resolved_at, resolution, job_id as "job: JobId", attempt_id as "attempt: AttemptId", reason
           from falconer.orphan_charges where request_id = $1 order by id limit 1"#,
        request_id,
    )
    .fetch_optional(&store.pools.api)
    .await?;
    Ok(match found {
        Some(charge) if done.rows_affected() > 0 => Dismissed::Done(charge),
        Some(charge) => Dismissed::Resolved(charge),
        None => Dismissed::NotFound,
    })
}

/// Deletes resolved charges that fal cannot list again, with their events.
pub async fn prune(store: &Store) -> Result<u64> {
    let deleted = sqlx::query!(
        "with gone as (
             delete from falconer.orphan_charges
             where resolved_at is not null and billed_at < falconer.now() - make_interval(days => $1)
             returning credential_id, request_id
         ), untold as (
             delete from falconer.account_events e using gone
             where e.credential_id = gone.credential_id and e.type = 'charge.orphaned' and e.request_id = gone.request_id
         )
         select from gone",
        KEPT_DAYS,
    )
    .execute(&store.pools.maintenance)
    .await?;
    Ok(deleted.rows_affected())
}
