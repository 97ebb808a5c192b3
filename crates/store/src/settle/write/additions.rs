//! Inserts what a batch adds.

use super::{LedgerLine, NewBinding, NewResult, NewTransition, column};
use crate::{
    error::Result,
    rejected::BODY_KEPT_MAX,
    settle::{CallbackNews, Disposition, record::JobRecord},
};
use chrono::{DateTime, Utc};
use domain::JobId;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use std::collections::HashSet;
use uuid::Uuid;

/// Inserts bindings, and resolves what was an orphan charge until its attempt turned up.
pub(super) async fn bindings(tx: &mut PgConnection, rows: &[NewBinding], now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "with bound as (
             insert into falconer.request_bindings (credential_id, request_id, attempt_id, job_id, bound_at)
             select *, $5 from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[])
             returning credential_id, request_id, attempt_id, job_id
         )
         update falconer.orphan_charges o
         set resolution = 'bound', resolved_at = $5, attempt_id = b.attempt_id, job_id = b.job_id
         from bound b
         where o.credential_id = b.credential_id and o.request_id = b.request_id
           and o.resolution is distinct from 'bound'",
        &rows.iter().map(|row| row.credential.0).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.request_id.clone()).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.attempt.0).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.job.0).collect::<Vec<_>>(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What a batch adds to the history of its jobs.
#[derive(Default)]
pub(super) struct History<'a> {
    pub(super) transitions: &'a [NewTransition],
    pub(super) results: &'a [NewResult],
    /// Jobs that have just ended: one event each.
    pub(super) ended: &'a [&'a JobRecord],
    pub(super) ledger: &'a [LedgerLine],
}

impl History<'_> {
    pub(super) fn is_empty(&self) -> bool {
        let Self { transitions, results, ended, ledger } = self;
        transitions.is_empty() && results.is_empty() && ended.is_empty() && ledger.is_empty()
    }
}

/// Inserts into four tables in one statement, since each statement of its own costs a batch a round trip. Prices each line of
/// the ledger by what fal said it bills, or by our estimate where it said nothing.
pub(super) async fn history(tx: &mut PgConnection, add: &History<'_>, now: DateTime<Utc>) -> Result<()> {
    let History { transitions, results, ended, ledger } = add;
    sqlx::query_file!(
        "src/settle/write/history.sql",
        now,
        &transitions.iter().map(|row| row.job.0).collect::<Vec<_>>(),
        &transitions.iter().map(|row| row.attempt_number).collect::<Vec<_>>(),
        &transitions.iter().map(|row| row.version).collect::<Vec<_>>(),
        &transitions.iter().map(|row| row.event.to_owned()).collect::<Vec<_>>(),
        &transitions.iter().map(|row| row.attempt_from.clone()).collect::<Vec<_>>() as &[Option<String>],
        &transitions.iter().map(|row| row.attempt_to.clone()).collect::<Vec<_>>() as &[Option<String>],
        &transitions.iter().map(|row| row.job_from.clone()).collect::<Vec<_>>() as &[Option<String>],
        &transitions.iter().map(|row| row.job_to.clone()).collect::<Vec<_>>() as &[Option<String>],
        &transitions.iter().map(|row| row.job_version).collect::<Vec<_>>() as &[Option<i32>],
        &transitions.iter().map(|row| row.detail.clone()).collect::<Vec<_>>() as &[Option<String>],
        &results.iter().map(|row| row.job.0).collect::<Vec<_>>(),
        &results.iter().map(|row| row.attempt.0).collect::<Vec<_>>(),
        &results.iter().map(|row| &row.body[..]).collect::<Vec<_>>() as &[&[u8]],
        &results.iter().map(|row| row.sha256.clone()).collect::<Vec<_>>(),
        &column(ended, |job| job.id.0),
        &column(ended, |_| crate::fresh_id()),
        &column(ended, |job| job.project.0),
        &column(ended, |job| format!("job.{}", job.state)),
        &ledger.iter().map(|row| row.job.0).collect::<Vec<_>>(),
        &ledger.iter().map(|row| row.attempt.0).collect::<Vec<_>>(),
        &ledger.iter().map(|row| row.kind.to_owned()).collect::<Vec<_>>(),
        &ledger.iter().map(|row| row.units).collect::<Vec<_>>() as &[Option<Decimal>],
        &ledger.iter().map(|row| row.model.clone()).collect::<Vec<_>>(),
        &ledger.iter().map(|row| row.estimated).collect::<Vec<_>>() as &[Option<Decimal>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Keeps the callbacks. Bytes that an earlier row of the same attempt holds are not stored again, and large ones of a
/// rejected call are not stored at all; one that an operator has processed again keeps its row, with what became of it
/// this time. A row that was applied stays so, since its repeat only finds its own work.
pub(super) async fn callbacks(
    tx: &mut PgConnection,
    rows: &[(CallbackNews, Option<JobId>, Disposition)],
    now: DateTime<Utc>,
) -> Result<()> {
    let rows = first_of_each(rows);
    let stored = stored_bytes(tx, &rows).await?;
    sqlx::query!(
        "insert into falconer.callbacks as c (id, received_at, credential_id, attempt_id, job_id, request_id, user_id,
             signed_at, signature, disposition, cause, body_bytes, body_sha256, body)
         select n.id, $14, n.credential_id, n.attempt_id, n.job_id, n.request_id, n.user_id, n.signed_at, n.signature,
             n.disposition, n.cause, n.body_bytes, n.body_sha256,
             n.body
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bigint[], $8::text[],
             $9::text[], $10::text[], $11::bytea[], $12::bytea[], $13::bigint[])
             as n (id, credential_id, attempt_id, job_id, request_id, user_id, signed_at, signature, disposition, cause,
                 body_sha256, body, body_bytes)
         on conflict (id) do update set disposition = excluded.disposition, cause = excluded.cause
         where c.disposition <> 'applied'",
        &column(&rows, |(news, ..)| news.id.0),
        &column(&rows, |(news, ..)| news.credential.0),
        &column(&rows, |(news, ..)| news.attempt.0),
        &column(&rows, |(_, job, _)| job.map(|id| id.0)) as &[Option<Uuid>],
        &column(&rows, |(news, ..)| news.request_id.0.clone()),
        &column(&rows, |(news, ..)| news.user_id.clone()),
        &column(&rows, |(news, ..)| news.signed_at),
        &column(&rows, |(news, ..)| news.signature.clone()),
        &column(&rows, |(_, _, said)| said.names().0.to_owned()),
        &column(&rows, |(_, _, said)| said.names().1.map(str::to_owned)) as &[Option<String>],
        &rows.iter().map(|(news, ..)| &news.body_sha256[..]).collect::<Vec<_>>() as &[&[u8]],
        &rows.iter().map(|row| kept_body(row, &stored)).collect::<Vec<_>>() as &[Option<&[u8]>],
        &column(&rows, |(news, ..)| i64::try_from(news.body.len()).unwrap_or(i64::MAX)),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

type Kept = (CallbackNews, Option<JobId>, Disposition);

/// One statement cannot write a row twice, and an operator may have asked for the same callback twice.
fn first_of_each(rows: &[Kept]) -> Vec<&Kept> {
    let mut seen = HashSet::new();
    rows.iter().filter(|(news, ..)| seen.insert(news.id)).collect()
}

fn kept_body<'a>((news, _, disposition): &'a Kept, stored: &Stored) -> Option<&'a [u8]> {
    let rejected = matches!(disposition, Disposition::Rejected(_));
    let repeated = stored.contains(&(news.attempt.0, news.body_sha256.to_vec()));
    (!repeated && (!rejected || news.body.len() <= BODY_KEPT_MAX)).then_some(&news.body[..])
}

/// Attempts, and the SHA-256 of bytes that an earlier callback of theirs holds.
type Stored = HashSet<(Uuid, Vec<u8>)>;

/// Finds which repeats bring bytes that are stored already. A statement of its own, and only for batches with repeats: it
/// has to look into every partition that may hold the first of them.
async fn stored_bytes(tx: &mut PgConnection, rows: &[&Kept]) -> Result<Stored> {
    let repeats: Vec<&&Kept> = rows.iter().filter(|(.., disposition)| *disposition == Disposition::Duplicate).collect();
    let Some(newest) = repeats.iter().map(|(news, ..)| news.id.0).max() else {
        return Ok(Stored::new());
    };
    let found = sqlx::query!(
        r#"select c.attempt_id as "attempt!", c.body_sha256 as "sha256!"
           from unnest($1::uuid[], $2::bytea[]) as n (attempt_id, body_sha256)
           join falconer.callbacks c using (attempt_id, body_sha256)
           where c.body is not null and c.id <= $3"#,
        &repeats.iter().map(|(news, ..)| news.attempt.0).collect::<Vec<_>>(),
        &repeats.iter().map(|(news, ..)| &news.body_sha256[..]).collect::<Vec<_>>() as &[&[u8]],
        newest,
    )
    .fetch_all(tx)
    .await?;
    Ok(found.into_iter().map(|row| (row.attempt, row.sha256)).collect())
}
