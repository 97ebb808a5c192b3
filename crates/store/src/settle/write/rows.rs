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

/// Writes attempts and jobs in one statement.
pub(super) async fn update(tx: &mut PgConnection, attempts: &[&AttemptRecord], jobs: &[&JobRecord]) -> Result<()> {
    sqlx::query_file!(
        "src/settle/write/rows.sql",
        &column(attempts, |row| row.job.0),
        &column(attempts, |row| row.id.0),
        &column(attempts, |row| row.state.clone()),
        &column(attempts, |row| row.version),
        &column(attempts, |row| row.counted),
        &column(attempts, |row| row.submitted_at) as &[Option<DateTime<Utc>>],
        &column(attempts, |row| row.finished_at) as &[Option<DateTime<Utc>>],
        &column(attempts, |row| row.next_look_at) as &[Option<DateTime<Utc>>],
        &column(attempts, |row| row.request_id.clone()) as &[Option<String>],
        &column(attempts, |row| row.gateway_request_id.clone()) as &[Option<String>],
        &column(attempts, |row| row.bound_by.clone()) as &[Option<String>],
        &column(attempts, |row| row.candidate_request_id.clone()) as &[Option<String>],
        &column(attempts, |row| row.superseded_at) as &[Option<DateTime<Utc>>],
        &column(attempts, |row| row.superseded_ok_at) as &[Option<DateTime<Utc>>],
        &column(attempts, |row| row.cancel_requested_at) as &[Option<DateTime<Utc>>],
        &column(attempts, |row| row.error_class.clone()) as &[Option<String>],
        &column(attempts, |row| row.error_message.clone()) as &[Option<String>],
        &column(attempts, |row| row.charged.clone()) as &[Option<String>],
        &column(attempts, |row| row.billable_units) as &[Option<Decimal>],
        &column(attempts, |row| row.result_from.clone()) as &[Option<String>],
        &column(jobs, |row| row.id.0),
        &column(jobs, |row| row.state.clone()),
        &column(jobs, |row| row.version),
        &column(jobs, |row| row.run_at),
        &column(jobs, |row| row.attempts_made),
        &column(jobs, |row| row.cancel_requested_at) as &[Option<DateTime<Utc>>],
        &column(jobs, |row| row.finished_at) as &[Option<DateTime<Utc>>],
        &column(jobs, |row| row.winner.map(|id| id.0)) as &[Option<Uuid>],
        &column(jobs, |row| row.error_class.clone()) as &[Option<String>],
        &column(jobs, |row| row.error_message.clone()) as &[Option<String>],
        &column(jobs, |row| row.error_charged.clone()) as &[Option<String>],
    )
    .execute(tx)
    .await?;
    Ok(())
}
