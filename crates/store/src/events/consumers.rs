//! Who reads the feed under a name, and how far.

use super::position::Position;
use crate::{Store, error::Result};
use chrono::{DateTime, Utc};
use domain::{ConsumerId, ProjectId};
use uuid::Uuid;

/// Consumers that one project may have.
pub const CONSUMERS_MAX: i64 = 100;
/// Unread events are counted up to here.
pub const UNREAD_MAX: i64 = 1_000;
/// A consumer's last use is noted when the note is older than this.
const SEEN_EVERY_SECONDS: f64 = 10.0;

/// A reader of the feed. Everything up to `position` is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    pub id: ConsumerId,
    pub name: String,
    pub position: Position,
    /// Events that retention dropped before they were acknowledged, of all time.
    pub missed: i64,
    /// How many of those were told and acknowledged.
    pub missed_told: i64,
    /// When the last of them were dropped.
    pub missed_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// When it last asked, to ten seconds.
    pub last_seen_at: DateTime<Utc>,
    pub acknowledged_at: Option<DateTime<Utc>>,
}

/// Where a new consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// With the oldest event that is retained.
    Beginning,
    /// With the first event that is not settled yet.
    Now,
}

/// What became of the wish for a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    Done(Consumer),
    /// One of that name is there, and stays as it is.
    Exists(Consumer),
    /// The project has [`CONSUMERS_MAX`].
    TooMany,
}

/// What is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    pub position: Position,
    /// The missed events that the consumer was told of.
    pub missed: i64,
}

/// What became of an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// As it is now. An acknowledgement of what was acknowledged before changes nothing.
    Done(Consumer),
    /// The position lies where no event was shown yet, so that this database cannot have handed it out.
    Ahead,
    NotFound,
}

/// Makes a consumer of a name that is new to the project.
pub async fn create(store: &Store, project: ProjectId, name: &str, from: StartAt) -> Result<Created> {
    let inserted = sqlx::query!(
        r#"insert into falconer.consumers (id, project_id, name, epoch, xact, event_id, created_at, last_seen_at)
           select $1, $2, $3, case when $4 then c.epoch else 0 end,
               case when $4 then pg_snapshot_xmin(pg_current_snapshot()) else '0'::xid8 end,
               '00000000-0000-0000-0000-000000000000', falconer.now(), falconer.now()
           from falconer.event_epoch c
           where (select count(*) from falconer.consumers o where o.project_id = $2) < $5
           on conflict (project_id, name) do nothing"#,
        crate::fresh_id(),
        project.0,
        name,
        from == StartAt::Now,
        CONSUMERS_MAX,
    )
    .execute(&store.pools.api)
    .await?;
    let found = find(store, project, name).await?;
    Ok(match found {
        Some(consumer) if inserted.rows_affected() > 0 => Created::Done(consumer),
        Some(consumer) => Created::Exists(consumer),
        None => Created::TooMany,
    })
}

/// Finds a consumer and notes that it was seen; one that is new begins at the beginning. Nothing where the project has too
/// many.
pub async fn find_or_create(store: &Store, project: ProjectId, name: &str) -> Result<Option<Consumer>> {
    let Some(found) = find(store, project, name).await? else {
        return Ok(match create(store, project, name, StartAt::Beginning).await? {
            Created::Done(made) | Created::Exists(made) => Some(made),
            Created::TooMany => None,
        });
    };
    sqlx::query!(
        "update falconer.consumers set last_seen_at = falconer.now()
         where id = $1 and last_seen_at < falconer.now() - make_interval(secs => $2)",
        found.id.0,
        SEEN_EVERY_SECONDS,
    )
    .execute(&store.pools.api)
    .await?;
    Ok(Some(found))
}

/// Moves a consumer's position ahead, never back.
pub async fn acknowledge(
    store: &Store,
    project: ProjectId,
    name: &str,
    consumer: ConsumerId,
    what: Acknowledgement,
) -> Result<Acknowledged> {
    let Position { epoch, id, .. } = what.position;
    let row = sqlx::query_as!(
        Row,
        r#"with asked as (
               select $4::smallint as epoch, $5::text::xid8 as xact, $6::uuid as id
           )
           update falconer.consumers c set
               (epoch, xact, event_id) = (
                   select p.epoch, p.xact, p.id
                   from (select * from asked union all select c.epoch, c.xact, c.event_id) as p (epoch, xact, id)
                   order by p.epoch desc, p.xact desc, p.id desc limit 1),
               missed_told = least(c.missed, greatest(c.missed_told, $7)),
               last_seen_at = falconer.now(), acknowledged_at = falconer.now()
           from asked
           where c.id = $3 and c.project_id = $1 and c.name = $2
             and (asked.epoch, asked.xact)
                 <= ((select e.epoch from falconer.event_epoch e), pg_snapshot_xmin(pg_current_snapshot()))
           returning c.id as "id: ConsumerId", c.name, c.epoch, c.xact::text as "xact!", c.event_id, c.missed,
               c.missed_told, c.missed_at, c.created_at, c.last_seen_at, c.acknowledged_at"#,
        project.0,
        name,
        consumer.0,
        epoch,
        what.position.xact_text(),
        id,
        what.missed,
    )
    .fetch_optional(&store.pools.api)
    .await?;
    match row {
        Some(row) => Ok(Acknowledged::Done(row.consumer()?)),
        None if find(store, project, name).await?.is_some() => Ok(Acknowledged::Ahead),
        None => Ok(Acknowledged::NotFound),
    }
}

/// Lists a project's consumers by name, each with how many of its events are unread, counted up to [`UNREAD_MAX`], those
/// that cannot be shown yet included.
pub async fn list(store: &Store, project: ProjectId) -> Result<Vec<(Consumer, i64)>> {
    let rows = sqlx::query!(
        r#"select c.id as "id: ConsumerId", c.name, c.epoch, c.xact::text as "xact!", c.event_id, c.missed,
               c.missed_told, c.missed_at, c.created_at, c.last_seen_at, c.acknowledged_at, u.unread as "unread!"
           from falconer.consumers c
           cross join lateral (
               select count(*) as unread from (
                   select from falconer.job_events e
                   where e.project_id = c.project_id
                     and (e.epoch, e.xact, e.id) > (c.epoch, c.xact, c.event_id)
                   limit $2) as e
           ) as u
           where c.project_id = $1
           order by c.name"#,
        project.0,
        UNREAD_MAX,
    )
    .fetch_all(&store.pools.api)
    .await?;
    let read = rows.into_iter().map(|row| {
        let unread = row.unread;
        let consumer = Row {
            id: row.id,
            name: row.name,
            epoch: row.epoch,
            xact: row.xact,
            event_id: row.event_id,
            missed: row.missed,
            missed_told: row.missed_told,
            missed_at: row.missed_at,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            acknowledged_at: row.acknowledged_at,
        };
        Ok((consumer.consumer()?, unread))
    });
    read.collect()
}

/// Forgets a consumer. Answers whether there was one.
pub async fn delete(store: &Store, project: ProjectId, name: &str) -> Result<bool> {
    let done = sqlx::query!("delete from falconer.consumers where project_id = $1 and name = $2", project.0, name)
        .execute(&store.pools.api)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Reads a consumer by its name.
pub async fn find(store: &Store, project: ProjectId, name: &str) -> Result<Option<Consumer>> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: ConsumerId", name, epoch, xact::text as "xact!", event_id, missed, missed_told, missed_at,
               created_at, last_seen_at, acknowledged_at
           from falconer.consumers where project_id = $1 and name = $2"#,
        project.0,
        name,
    )
    .fetch_optional(&store.pools.api)
    .await?;
    row.map(Row::consumer).transpose()
}

struct Row {
    id: ConsumerId,
    name: String,
    epoch: i16,
    xact: String,
    event_id: Uuid,
    missed: i64,
    missed_told: i64,
    missed_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    acknowledged_at: Option<DateTime<Utc>>,
}

impl Row {
    fn consumer(self) -> Result<Consumer> {
        Ok(Consumer {
            position: Position::of_row(self.epoch, &self.xact, self.event_id)?,
            id: self.id,
            name: self.name,
            missed: self.missed,
            missed_told: self.missed_told,
            missed_at: self.missed_at,
            created_at: self.created_at,
            last_seen_at: self.last_seen_at,
            acknowledged_at: self.acknowledged_at,
        })
    }
}
