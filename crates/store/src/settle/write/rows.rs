//! Writes the locked rows back. They are locked by this transaction, so their versions cannot have moved.

use super::column;
use crate::{
    error::Result,
    settle::record::{AttemptRecord, JobRecord},
};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

pub(super) async fn attempts(tx: &mut PgConnection, rows: &[&AttemptRecord]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update falconer.attempts a
         set state = n.state, version = n.version, counted = n.counted, submitted_at = n.submitted_at,
             finished_at = n.finished_at, next_look_at = n.next_look_at, request_id = n.request_id,
             gateway_request_id = n.gateway_request_id, bound_by = n.bound_by,
             candidate_request_id = n.candidate_request_id, superseded_at = n.superseded_at,
             superseded_ok_at = n.superseded_ok_at, cancel_requested_at = n.cancel_requested_at,
             error_class = n.error_class, error_message = n.error_message, charged = n.charged,
             billable_units = n.billable_units, result_from = n.result_from
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::bool[], $6::timestamptz[], $7::timestamptz[],
             $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[],
             $14::timestamptz[], $15::timestamptz[], $16::text[], $17::text[], $18::text[], $19::numeric[],
             $20::text[])
             as n (job_id, id, state, version, counted, submitted_at, finished_at, next_look_at, request_id,
                 gateway_request_id, bound_by, candidate_request_id, superseded_at, superseded_ok_at,
                 cancel_requested_at, error_class, error_message, charged, billable_units, result_from)
         where a.job_id = n.job_id and a.id = n.id",
        &column(rows, |row| row.job.0),
        &column(rows, |row| row.id.0),
        &column(rows, |row| row.state.clone()),
        &column(rows, |row| row.version),
        &column(rows, |row| row.counted),
        &column(rows, |row| row.submitted_at) as &[Option<DateTime<Utc>>],
        &column(rows, |row| row.finished_at) as &[Option<DateTime<Utc>>],
        &column(rows, |row| row.next_look_at) as &[Option<DateTime<Utc>>],
        &column(rows, |row| row.request_id.clone()) as &[Option<String>],
        &column(rows, |row| row.gateway_request_id.clone()) as &[Option<String>],
        &column(rows, |row| row.bound_by.clone()) as &[Option<String>],
        &column(rows, |row| row.candidate_request_id.clone()) as &[Option<String>],
        &column(rows, |row| row.superseded_at) as &[Option<DateTime<Utc>>],
        &column(rows, |row| row.superseded_ok_at) as &[Option<DateTime<Utc>>],
        &column(rows, |row| row.cancel_requested_at) as &[Option<DateTime<Utc>>],
        &column(rows, |row| row.error_class.clone()) as &[Option<String>],
        &column(rows, |row| row.error_message.clone()) as &[Option<String>],
        &column(rows, |row| row.charged.clone()) as &[Option<String>],
        &column(rows, |row| row.billable_units) as &[Option<Decimal>],
        &column(rows, |row| row.result_from.clone()) as &[Option<String>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn jobs(tx: &mut PgConnection, rows: &[&JobRecord]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update falconer.jobs j
         set state = n.state, version = n.version, run_at = n.run_at, attempts_made = n.attempts_made,
             cancel_requested_at = n.cancel_requested_at, finished_at = n.finished_at, winner = n.winner,
             error_class = n.error_class, error_message = n.error_message, error_charged = n.error_charged
         from unnest($1::uuid[], $2::text[], $3::int[], $4::timestamptz[], $5::smallint[], $6::timestamptz[],
             $7::timestamptz[], $8::uuid[], $9::text[], $10::text[], $11::text[])
             as n (id, state, version, run_at, attempts_made, cancel_requested_at, finished_at, winner, error_class,
                 error_message, error_charged)
         where j.id = n.id",
        &column(rows, |row| row.id.0),
        &column(rows, |row| row.state.clone()),
        &column(rows, |row| row.version),
        &column(rows, |row| row.run_at),
        &column(rows, |row| row.attempts_made),
        &column(rows, |row| row.cancel_requested_at) as &[Option<DateTime<Utc>>],
        &column(rows, |row| row.finished_at) as &[Option<DateTime<Utc>>],
        &column(rows, |row| row.winner.map(|id| id.0)) as &[Option<Uuid>],
        &column(rows, |row| row.error_class.clone()) as &[Option<String>],
        &column(rows, |row| row.error_message.clone()) as &[Option<String>],
        &column(rows, |row| row.error_charged.clone()) as &[Option<String>],
    )
    .execute(tx)
    .await?;
    Ok(())
}
