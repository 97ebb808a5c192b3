//! No event is skipped: not when a transaction commits late, not when a process dies between reading and acknowledging.

use super::{acknowledge, ids, page};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};
use testkit::{JobId, World, wait};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

const WRITERS: usize = 8;
const EVENTS_OF_EACH: usize = 24;
/// After so many pages of each reader the server is killed before it hears the acknowledgement.
const KILLED_AFTER: [usize; 3] = [2, 5, 9];

/// Makes jobs that are not sent today, so that their ends can be written by hand.
async fn idle_jobs(world: &World, key: &str, count: usize) -> Vec<JobId> {
    let job = json!({ "model": "fal-ai/flux/schnell", "input": {}, "run_at": "2099-01-01T00:00:00Z" });
    let body = Value::Array(vec![job; count]).to_string();
    let head = format!("Bearer {key}");
    let answer = world.call(Method::POST, "/v1/jobs/batch", &[("authorization", &head)], body).await;
    let text = String::from_utf8(answer.body.to_vec()).expect("the answer is text");
    let job = |line: &str| serde_json::from_str::<Value>(line).ok()?["job"]["id"].as_str()?.parse().ok();
    text.lines().map(|line| job(line).unwrap_or_else(|| panic!("refused: {line}"))).collect()
}

/// Writes a job's end as settling does.
async fn tell(tx: &mut PgConnection, job: JobId) -> Uuid {
    let id = store::fresh_id();
    sqlx::query(
        "insert into falconer.job_events (job_id, id, project_id, type, created_at)
         select id, $2, project_id, 'job.canceled', falconer.now() from falconer.jobs where id = $1",
    )
    .bind(job)
    .bind(id)
    .execute(tx)
    .await
    .expect("the event is written");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_transaction_commits_late_is_given_all_the_same() {
    let world = World::start().await;
    let key = world.api_key();
    let job = idle_jobs(&world, key, 1).await[0];
    let mut slow = world.db().begin().await.unwrap();
    let first = tell(&mut slow, job).await;
    let quick = world.submit_prompt("an owl").await;
    world.wait_ended_as(quick, "succeeded").await;
    let second: Uuid = sqlx::query_scalar("select id from falconer.job_events where job_id = $1")
        .bind(quick)
        .fetch_one(world.db())
        .await
        .unwrap();

    let mut seen = Vec::new();
    for _ in 0..3 {
        let early = page(&world, key, "consumer=web&wait=200ms").await;
        seen.extend(ids(&early));
        acknowledge(&world, key, "web", &early).await;
    }
    slow.commit().await.unwrap();
    while seen.len() < 2 {
        let late = page(&world, key, "consumer=web&wait=20s").await;
        assert!(!ids(&late).is_empty(), "only {seen:?} of {first} and {second} came");
        seen.extend(ids(&late));
        acknowledge(&world, key, "web", &late).await;
    }

    assert_eq!(seen, [first, second]);
    world.leave_unchecked("an end was written by hand");
}

/// Eight writers in each of two projects, with pauses before each commit and a rollback now and then; a reader of each
/// project by HTTP, through deaths of the server between a page and its acknowledgement; and one by SQL.
#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_seen_by_every_reader_while_writers_are_slow_and_servers_die() {
    let mut world = World::start().await;
    let keys = [world.api_key().to_owned(), world.stranger_key("other").await.unwrap()];
    let (tasks, mut writers) = (TaskTracker::new(), Vec::new());
    for key in &keys {
        let jobs = idle_jobs(&world, key, WRITERS * EVENTS_OF_EACH).await;
        for (number, jobs) in (0_u32..).zip(jobs.chunks(EVENTS_OF_EACH)) {
            writers.push(tasks.spawn(write(world.db().clone(), jobs.to_vec(), number)));
        }
    }
    let by_sql = tasks.spawn(read_by_sql(world.db().clone(), 2 * WRITERS * EVENTS_OF_EACH));

    let mut seen = [Vec::new(), Vec::new()];
    for (key, seen) in keys.iter().zip(&mut seen) {
        read_through_deaths(&mut world, key, seen).await;
    }

    for writer in writers {
        writer.await.unwrap();
    }
    let by_sql = by_sql.await.unwrap();
    assert_eq!(by_sql, in_order(world.db(), None).await, "by SQL: each once, and in order");
    for (project, seen) in ["default", "other"].into_iter().zip(&seen) {
        let all = in_order(world.db(), Some(project)).await;
        assert_eq!(all.len(), WRITERS * EVENTS_OF_EACH);
        let mut firsts = HashSet::new();
        let once: Vec<Uuid> = seen.iter().copied().filter(|id| firsts.insert(*id)).collect();
        assert_eq!(once, all, "each at least once, and in order");
        assert!(seen.len() > once.len(), "what was not acknowledged came again");
    }
    world.leave_unchecked("ends were written by hand");
}

async fn write(db: PgPool, jobs: Vec<JobId>, number: u32) {
    for (turn, job) in (0_u32..).zip(jobs) {
        let before_commit = Duration::from_millis(u64::from((number * 7 + turn * 13) % 10) * 5);
        if turn % 5 == 4 {
            let mut tx = db.begin().await.expect("a transaction");
            tell(&mut tx, job).await;
            tx.rollback().await.expect("it is rolled back");
        }
        let mut tx = db.begin().await.expect("a transaction");
        tell(&mut tx, job).await;
        wait::let_pass(before_commit).await;
        tx.commit().await.expect("it commits");
    }
}

/// Reads until every event of the project has come. What was read is kept in `seen`, repeats included.
async fn read_through_deaths(world: &mut World, key: &str, seen: &mut Vec<Uuid>) {
    let mut pages = 0;
    while seen.iter().collect::<BTreeSet<_>>().len() < WRITERS * EVENTS_OF_EACH {
        let page = page(world, key, "consumer=web&wait=20s&limit=10").await;
        assert!(!ids(&page).is_empty(), "{} came", seen.len());
        seen.extend(ids(&page));
        pages += 1;
        if KILLED_AFTER.contains(&pages) {
            world.kill_9().await;
            world.restart().await;
        } else {
            acknowledge(world, key, "web", &page).await;
        }
    }
}

/// Keeps its own position and reads the view, of all projects.
async fn read_by_sql(db: PgPool, count: usize) -> Vec<Uuid> {
    let (mut seen, mut position) = (Vec::new(), (0_i16, "0".to_owned(), Uuid::nil()));
    while seen.len() < count {
        // By another name than the column's, since `order by` would take the text and not the number.
        let sql = "select epoch, xact::text as number, id from falconer.events
            where (epoch, xact, id) > ($1, $2::text::xid8, $3) order by epoch, xact, id limit 7";
        let rows: Vec<(i16, String, Uuid)> = wait::until("events to be shown", async || {
            let (epoch, xact, id) = &position;
            let rows: Vec<_> = sqlx::query_as(sql).bind(epoch).bind(xact).bind(id).fetch_all(&db).await.expect("rows");
            if rows.is_empty() { Err(seen.len()) } else { Ok(rows) }
        })
        .await;
        seen.extend(rows.iter().map(|(_, _, id)| *id));
        position = rows.into_iter().next_back().expect("there are some");
    }
    seen
}

async fn in_order(db: &PgPool, project: Option<&str>) -> Vec<Uuid> {
    let sql = "select e.id from falconer.job_events e join falconer.projects p on p.id = e.project_id
        where $1::text is null or p.name = $1 order by e.epoch, e.xact, e.id";
    sqlx::query_scalar(sql).bind(project).fetch_all(db).await.expect("rows")
}
