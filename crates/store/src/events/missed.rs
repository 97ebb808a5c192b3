//! Events that go before they were read.

use crate::error::Result;
use sqlx::{AssertSqlSafe, PgConnection};

/// Notes with every consumer how many of its unread events are in the partition that is about to be dropped, in the
/// transaction that drops it. Answers how many that are together.
pub(crate) async fn note_missed(tx: &mut PgConnection, suffix: &str) -> Result<u64> {
    // The suffix is eight digits that were read as a date.
    let statement = format!(
        "with lost as (
             select c.id, (select count(*) from falconer.job_events_{suffix} e
                 where e.project_id = c.project_id
                   and (e.epoch, e.xact, e.id) > (c.epoch, c.xact, c.event_id)) as events
             from falconer.consumers c
         ),
         told as (
             update falconer.consumers c set missed = c.missed + lost.events, missed_at = falconer.now()
             from lost where lost.id = c.id and lost.events > 0
             returning lost.events
         )
         select coalesce(sum(events), 0)::bigint from told"
    );
    let missed: i64 = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(tx).await?;
    Ok(missed.unsigned_abs())
}
