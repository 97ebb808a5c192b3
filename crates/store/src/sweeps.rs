//! What only time moves: jobs whose hour has come, and jobs that nobody has a use for any more.
//!
//! Sweeps find ids without locks; [`crate::settle`] decides, so that a row that has moved on is left alone.

use crate::{Store, error::Result, settle::JobNews};
use domain::{JobEvent, JobId};

/// Rows of one sweep. What is left comes in the next.
const LIMIT: i64 = 1000;

/// Finds scheduled jobs that are due, and open jobs past their usefulness.
///
/// Reads the indexes `jobs_scheduled` and `jobs_useful`.
pub async fn find(store: &Store) -> Result<Vec<JobNews>> {
    let rows = sqlx::query!(
        r#"
        with clock as materialized (select falconer.now() as now)
        (select id as "id!: JobId", (select now from clock) as "now!", false as "useless!" from falconer.jobs
         where state = 'scheduled' and run_at <= (select now from clock) order by run_at limit $1)
        union all
        (select id, (select now from clock), true from falconer.jobs
         where useful_until is not null and state in ('scheduled', 'held', 'queued')
           and useful_until <= (select now from clock) order by useful_until limit $1)
        "#,
        LIMIT,
    )
    .fetch_all(&store.pools.work)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let event = if row.useless { JobEvent::UsefulUntilPassed } else { JobEvent::Due { at: row.now } };
            JobNews { job: row.id, project: None, event }
        })
        .collect())
}

#[cfg(test)]
mod tests;
