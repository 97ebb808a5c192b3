//! The order of the feed, and the positions of those who read it.

mod consumers;
mod feed;

use super::*;
use crate::{Store, accept::NewJob, jobs::tests::world::*, projects, wake::Wakes};
use domain::{EventId, JobId, ProjectId};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Event, job, project, type, state, request id, result and its size.
type Line = (uuid::Uuid, uuid::Uuid, String, String, String, String, Vec<u8>, i32);

fn feed(project: ProjectId) -> Feed {
    Feed { project, types: None, limit: PAGE_MAX }
}

/// Reads until `count` events have come. Transactions of other tests hold the feed back, so this may take a moment.
async fn wait_for(store: &Store, feed: &Feed, after: Position, count: usize) -> (Vec<EventView>, Position) {
    let (mut events, mut reached) = (Vec::new(), after);
    while events.len() < count {
        let (wakes, stop) = (Wakes::default(), CancellationToken::new());
        let page = wait(store, &wakes, feed, reached, Duration::from_secs(20), &stop).await.unwrap();
        assert!(!page.events.is_empty(), "{} of {count} came", events.len());
        events.extend(page.events);
        reached = page.reached;
    }
    (events, reached)
}

/// Writes an event of a job as settling does, in a transaction that is left open.
async fn told_by(tx: &mut PgConnection, job: JobId) -> EventId {
    let id = crate::fresh_id();
    sqlx::query(
        "insert into falconer.job_events (job_id, id, project_id, type, created_at)
         select id, $2, project_id, 'job.canceled', falconer.now() from falconer.jobs where id = $1",
    )
    .bind(job.0)
    .bind(id)
    .execute(tx)
    .await
    .unwrap();
    EventId(id)
}

/// A job that no claim takes, so that its end can be written by hand.
async fn idle(store: &Store) -> JobId {
    let in_an_hour = store.now().await.unwrap() + Duration::from_hours(1);
    accepted(store, NewJob { run_at: Some(in_an_hour), ..a_job() }).await
}

fn acknowledgement(position: Position) -> Acknowledgement {
    Acknowledgement { position, missed: 0 }
}

async fn made(store: &Store, name: &str, from: StartAt) -> Consumer {
    match create(store, ME, name, from).await.unwrap() {
        Created::Done(consumer) => consumer,
        other => panic!("{other:?}"),
    }
}
