//! A page of an account's bills, held against our attempts.

use crate::{Store, error::Result, fresh_id};
use chrono::{DateTime, Utc};
use domain::{AttemptId, CredentialId, RequestId};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use std::{collections::HashSet, time::Duration};

/// Characters of a request id, an endpoint or a unit that are kept. fal's are shorter; an index takes no text of any length.
const TEXT_MAX: usize = 255;

/// One charge on fal's bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Billed {
    pub request_id: String,
    pub endpoint: String,
    pub billed_at: DateTime<Utc>,
    pub units: Decimal,
    pub unit: String,
    pub unit_price: Decimal,
    pub amount: Decimal,
    pub currency: String,
}

/// A page of the bill of one account.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    pub credential: CredentialId,
    pub billed: &'a [Billed],
    /// How old a charge must be before it is called an orphan: an attempt under way may yet name it.
    pub grace: Duration,
}

/// What a page showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Charges of requests that are bound to an attempt.
    pub matched: u64,
    /// Charges that belong to no attempt and were not known as such.
    pub orphaned: Vec<String>,
    /// Charges that belong to no attempt, and are too young to say so or said so before.
    pub waiting: u64,
    /// Lines that the ledger lacked: fal billed attempts that had brought nothing, of jobs that have ended.
    pub ledger_lines: u64,
}

impl Billed {
    /// Makes its texts such that Postgres stores them.
    #[must_use]
    pub fn storable(mut self) -> Self {
        for text in [&mut self.request_id, &mut self.endpoint, &mut self.unit, &mut self.currency] {
            if text.contains('\0') || text.chars().count() > TEXT_MAX {
                *text = text.replace('\0', "\u{fffd}").chars().take(TEXT_MAX).collect();
            }
        }
        self
    }
}

/// Finds open attempts to which a callback, whose account was not proved, has given one of the billed request ids: that
/// it is on our bill is the proof. Reads the index `attempts_due`, so open attempts alone.
pub async fn candidates(
    store: &Store,
    credential: CredentialId,
    billed: &[Billed],
) -> Result<Vec<(AttemptId, RequestId)>> {
    let rows = sqlx::query!(
        r#"select id as "attempt: AttemptId", candidate_request_id as "request_id!" from falconer.attempts
           where state in ('submitting', 'unknown', 'submitted') and request_id is null
             and credential_id = $1 and candidate_request_id = any($2)"#,
        credential.0,
        &billed.iter().map(|charge| charge.request_id.clone()).collect::<Vec<_>>(),
    )
    .fetch_all(&store.pools.work)
    .await?;
    Ok(rows.into_iter().map(|row| (row.attempt, RequestId(row.request_id))).collect())
}

/// Records a page: new orphan charges with an event each, orphans whose attempt has turned up, and lines of money that the
/// ledger lacks. Safe to repeat: what is recorded already changes nothing.
///
/// Looks each request up by the key of `request_bindings`.
pub async fn record(store: &Store, page: &Page<'_>) -> Result<Recorded> {
    if page.billed.is_empty() {
        return Ok(Recorded::default());
    }
    let mut tx = store.pools.work.begin().await?;
    let orphaned = insert_orphans(&mut tx, page).await?;
    let matched = resolve_some(&mut tx, page).await?;
    let ledger_lines = add_ledger_lines(&mut tx, page).await?;
    tx.commit().await?;
    let distinct: HashSet<&str> = page.billed.iter().map(|charge| charge.request_id.as_str()).collect();
    let explained = matched + u64::try_from(orphaned.len()).unwrap_or(u64::MAX);
    let waiting = u64::try_from(distinct.len()).unwrap_or(u64::MAX).saturating_sub(explained);
    Ok(Recorded { matched, orphaned, waiting, ledger_lines })
}

/// Resolves every open orphan charge whose attempt has turned up. Settling resolves them as it binds; this finds those that
/// were bound at the very moment at which they were called orphans.
pub async fn resolve_bound(store: &Store) -> Result<u64> {
    let done = sqlx::query!(
        "update falconer.orphan_charges o
         set resolution = 'bound', resolved_at = falconer.now(), attempt_id = b.attempt_id, job_id = b.job_id
         from falconer.request_bindings b
         where o.resolved_at is null and b.credential_id = o.credential_id and b.request_id = o.request_id",
    )
    .execute(&store.pools.work)
    .await?;
    Ok(done.rows_affected())
}

/// Counts orphan charges that are open. Reads the index `orphan_charges_open`.
pub async fn count_open(store: &Store) -> Result<u64> {
    let open =
        sqlx::query_scalar!(r#"select count(*) as "open!" from falconer.orphan_charges where resolved_at is null"#)
            .fetch_one(&store.pools.work)
            .await?;
    Ok(open.unsigned_abs())
}

/// Rows that are there are not locked, so that settling, which resolves them in an order of its own, never waits in a
/// circle. A request that the page names twice is taken once.
async fn insert_orphans(tx: &mut PgConnection, page: &Page<'_>) -> Result<Vec<String>> {
    let all = page.billed;
    let found = sqlx::query_scalar!(
        r#"
        with clock as materialized (select falconer.now() as now),
        billed as materialized (
            select * from unnest($2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::numeric[],
                $8::text[], $9::numeric[], $10::numeric[], $11::text[])
                as n (request_id, id, event_id, endpoint, billed_at, units, unit, unit_price, amount, currency)
        ),
        orphaned as (
            insert into falconer.orphan_charges (credential_id, request_id, id, endpoint, billed_at, units, unit,
                unit_price, amount, currency, first_seen_at)
            select $1, b.request_id, b.id, b.endpoint, b.billed_at, b.units, b.unit, b.unit_price, b.amount,
                b.currency, clock.now
            from billed b, clock
            where b.billed_at <= clock.now - make_interval(secs => $12)
              and not exists (select from falconer.request_bindings r
                  where r.credential_id = $1 and r.request_id = b.request_id)
            order by b.request_id
            on conflict do nothing
            returning id, request_id
        ),
        told as (
            insert into falconer.account_events (id, credential_id, type, request_id, created_at)
            select b.event_id, $1, 'charge.orphaned', o.request_id, clock.now
            from orphaned o join billed b using (id), clock
            on conflict do nothing
        )
        select request_id from orphaned
        "#,
        page.credential.0,
        &all.iter().map(|charge| charge.request_id.clone()).collect::<Vec<_>>(),
        &all.iter().map(|_| fresh_id()).collect::<Vec<_>>(),
        &all.iter().map(|_| fresh_id()).collect::<Vec<_>>(),
        &all.iter().map(|charge| charge.endpoint.clone()).collect::<Vec<_>>(),
        &all.iter().map(|charge| charge.billed_at).collect::<Vec<_>>(),
        &all.iter().map(|charge| charge.units).collect::<Vec<_>>(),
        &all.iter().map(|charge| charge.unit.clone()).collect::<Vec<_>>(),
        &all.iter().map(|charge| charge.unit_price).collect::<Vec<_>>(),
        &all.iter().map(|charge| charge.amount).collect::<Vec<_>>(),
        &all.iter().map(|charge| charge.currency.clone()).collect::<Vec<_>>(),
        page.grace.as_secs_f64(),
    )
    .fetch_all(tx)
    .await?;
    Ok(found)
}

/// Resolves the page's orphans that are bound by now, and counts the requests of the page that are bound at all.
async fn resolve_some(tx: &mut PgConnection, page: &Page<'_>) -> Result<u64> {
    let bound = sqlx::query_scalar!(
        r#"
        with bound as materialized (
            select b.request_id, b.attempt_id, b.job_id from falconer.request_bindings b
            where b.credential_id = $1 and b.request_id = any($2)
        ),
        resolved as (
            update falconer.orphan_charges o
            set resolution = 'bound', resolved_at = falconer.now(), attempt_id = b.attempt_id, job_id = b.job_id
            from bound b
            where o.credential_id = $1 and o.request_id = b.request_id and o.resolution is distinct from 'bound'
        )
        select count(*) as "bound!" from bound
        "#,
        page.credential.0,
        &page.billed.iter().map(|charge| charge.request_id.clone()).collect::<Vec<_>>(),
    )
    .fetch_one(tx)
    .await?;
    Ok(bound.unsigned_abs())
}

/// An attempt that ended without a result and that fal billed all the same has cost what fal says. The line is the one that
/// a late result of it would write, so the two cannot both be there; while its job is open it may still be adopted, which
/// writes another, so such jobs are left to a later reading.
async fn add_ledger_lines(tx: &mut PgConnection, page: &Page<'_>) -> Result<u64> {
    let all = page.billed;
    let done = sqlx::query!(
        "insert into falconer.ledger (job_id, attempt_id, kind, at, units, unit_price, amount, currency, basis)
         select a.job_id, a.id, 'superseded_charge', falconer.now(), n.units, n.unit_price, n.amount, n.currency,
             'billable_units'
         from unnest($2::text[], $3::numeric[], $4::numeric[], $5::numeric[], $6::text[])
             as n (request_id, units, unit_price, amount, currency)
         join falconer.request_bindings b on b.credential_id = $1 and b.request_id = n.request_id
         cross join lateral (
             select * from falconer.attempts a where a.job_id = b.job_id and a.id = b.attempt_id offset 0) as a
         cross join lateral (select * from falconer.jobs j where j.id = b.job_id offset 0) as j
         where n.amount > 0 and j.finished_at is not null and a.state in ('failed', 'canceled', 'abandoned')
           and not exists (select from falconer.ledger l where l.job_id = b.job_id and l.attempt_id = b.attempt_id
               and l.kind in ('charge', 'superseded_charge'))
         on conflict do nothing",
        page.credential.0,
        &all.iter().map(|charge| charge.request_id.clone()).collect::<Vec<_>>(),
        &all.iter().map(|charge| charge.units).collect::<Vec<_>>(),
        &all.iter().map(|charge| charge.unit_price).collect::<Vec<_>>(),
        &all.iter().map(|charge| charge.amount).collect::<Vec<_>>(),
        &all.iter().map(|charge| charge.currency.clone()).collect::<Vec<_>>(),
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}
