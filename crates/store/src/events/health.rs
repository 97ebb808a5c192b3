//! How far the feed and its readers are behind.

use crate::{Store, error::Result};

/// Consumers that nobody has asked for in this many days count as given up.
const GIVEN_UP_DAYS: i32 = 1;

/// How far the feed and its readers are behind. Zero where they are not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedHealth {
    /// Age in seconds of the oldest committed event that cannot be shown, because an older transaction still runs.
    pub held_seconds: f64,
    /// Age in seconds of the oldest event that one of the consumers seen of late has not acknowledged.
    pub behind_seconds: f64,
    /// Whether the epoch belongs to this cluster.
    pub epoch_is_here: bool,
}

/// Asks how far the feed and its readers are behind. Two index lookups for each project and consumer.
pub async fn health(store: &Store) -> Result<FeedHealth> {
    let row = sqlx::query!(
        r#"select
               (select max(extract(epoch from falconer.now() - o.created_at))::float8 from falconer.projects p
                cross join lateral (
                    select e.created_at from falconer.job_events e
                    where e.project_id = p.id and (e.epoch, e.xact)
                        >= ((select c.epoch from falconer.event_epoch c), pg_snapshot_xmin(pg_current_snapshot()))
                    order by e.epoch, e.xact, e.id limit 1
                ) as o) as held,
               (select max(extract(epoch from falconer.now() - o.created_at))::float8 from falconer.consumers c
                cross join lateral (
                    select e.created_at from falconer.job_events e
                    where e.project_id = c.project_id
                      and (e.epoch, e.xact, e.id) > (c.epoch, c.xact, c.event_id)
                    order by e.epoch, e.xact, e.id limit 1
                ) as o
                where c.last_seen_at > falconer.now() - make_interval(days => $1)) as behind,
               (select c.cluster = s.system_identifier from falconer.event_epoch c, pg_control_system() s) as here"#,
        GIVEN_UP_DAYS,
    )
    .fetch_one(&store.pools.maintenance)
    .await?;
    Ok(FeedHealth {
        held_seconds: row.held.unwrap_or_default().max(0.0),
        behind_seconds: row.behind.unwrap_or_default().max(0.0),
        epoch_is_here: row.here.unwrap_or(false),
    })
}
