//! The order of the feed, and what its pages hold.

use super::*;

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_event_that_commits_late_is_not_skipped(pool: PgPool) {
    let store = store(&pool);
    let (early, late) = (idle(&store).await, idle(&store).await);
    let mut slow = pool.begin().await.unwrap();
    let first = told_by(&mut slow, early).await;
    let mut quick = pool.begin().await.unwrap();
    let second = told_by(&mut quick, late).await;
    quick.commit().await.unwrap();
    assert!(first.0 < second.0, "by its id the first one comes first, too");

    let page = read(&store, &feed(ME), Position::BEGINNING).await.unwrap();
    let consumer = made(&store, "web", StartAt::Beginning).await;
    let acknowledged = acknowledge(&store, ME, "web", consumer.id, acknowledgement(page.reached)).await.unwrap();
    let Acknowledged::Done(consumer) = acknowledged else { panic!("{acknowledged:?}") };
    slow.commit().await.unwrap();
    let (rest, _) = wait_for(&store, &feed(ME), consumer.position, 2 - page.events.len()).await;

    let seen: Vec<EventId> = page.events.iter().chain(&rest).map(|event| event.id).collect();
    assert_eq!(seen, [first, second]);
    assert!(page.events.is_empty(), "the second one is held back while the first may still come");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_view_shows_what_the_feed_shows(pool: PgPool) {
    let store = store(&pool);
    let (job, _) = succeeded(&store, a_job(), "r-1").await;
    let held = idle(&store).await;
    let (events, _) = wait_for(&store, &feed(ME), Position::BEGINNING, 1).await;
    let mut slow = pool.begin().await.unwrap();
    told_by(&mut slow, held).await;
    failed(&store, a_job(), "r-2").await;

    let sql = "select id, job_id, project, type, data ->> 'state', data ->> 'request_id', result, result_bytes
        from falconer.events where project_id = $1 order by epoch, xact, id";
    let lines: Vec<Line> = sqlx::query_as(sql).bind(ME.0).fetch_all(&pool).await.unwrap();

    let result = br#"{"images": [ 1.0 ]}"#.to_vec();
    let text = |text: &str| text.to_owned();
    let line =
        (events[0].id.0, job.0, text("default"), text("job.succeeded"), text("succeeded"), text("r-1"), result, 19);
    assert_eq!(lines, [line], "what failed is held back by the open transaction");
    assert_eq!(events[0].result.as_ref().unwrap().body.as_ref().unwrap().len(), 19);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_number_that_postgres_could_not_write_down_passes_through_the_view(pool: PgPool) {
    let store = store(&pool);
    let (job, _) = succeeded(&store, a_job(), "r-1").await;
    wait_for(&store, &feed(ME), Position::BEGINNING, 1).await;
    let bomb = br#"{"n": 1e999999999}"#.to_vec();
    sqlx::query("update falconer.results set body = $1 where job_id = $2")
        .bind(&bomb)
        .bind(job.0)
        .execute(&pool)
        .await
        .unwrap();

    let read: Vec<u8> = sqlx::query_scalar("select result from falconer.events").fetch_one(&pool).await.unwrap();

    assert_eq!(read, bomb);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_process_of_the_release_before_still_writes_by_the_old_name(pool: PgPool) {
    let store = store(&pool);
    let job = accepted(&store, a_job()).await;
    let id = crate::fresh_id();
    let sql = "with told as (
            insert into falconer.events (job_id, id, project_id, type, created_at)
            select *, falconer.now() from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[])
        ) select 1";
    let told = sqlx::query(sql).bind(vec![job.0]).bind(vec![id]).bind(vec![ME.0]).bind(vec!["job.canceled"]);
    told.execute(&pool).await.unwrap();

    let (events, _) = wait_for(&store, &feed(ME), Position::BEGINNING, 1).await;

    assert_eq!((events[0].id, events[0].kind.as_str()), (EventId(id), "job.canceled"));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn pages_follow_each_other_without_a_gap_or_a_repeat(pool: PgPool) {
    let store = store(&pool);
    for n in 0..7 {
        if n % 3 == 0 {
            failed(&store, a_job(), &format!("r-{n}")).await
        } else {
            succeeded(&store, a_job(), &format!("r-{n}")).await
        };
    }
    let (all, _) = wait_for(&store, &feed(ME), Position::BEGINNING, 7).await;
    let all: Vec<EventId> = all.iter().map(|event| event.id).collect();

    let (mut walked, mut reached) = (Vec::new(), Position::BEGINNING);
    loop {
        let page = read(&store, &Feed { limit: 2, ..feed(ME) }, reached).await.unwrap();
        walked.extend(page.events.iter().map(|event| event.id));
        reached = page.reached;
        if page.at_end {
            break;
        }
    }
    assert_eq!(walked, all);
    let only_failed = Feed { types: Some(vec!["job.failed".to_owned()]), limit: 2, project: ME };
    let (some, reached) = wait_for(&store, &only_failed, Position::BEGINNING, 3).await;
    let some: Vec<EventId> = some.iter().map(|event| event.id).collect();
    assert_eq!(some, [all[0], all[3], all[6]]);
    assert!(read(&store, &feed(ME), reached).await.unwrap().events.is_empty(), "what is not wanted was passed over");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn another_projects_events_are_not_there(pool: PgPool) {
    let store = store(&pool);
    let other = projects::find_or_insert(&store, "other").await.unwrap();
    succeeded(&store, a_job(), "r-1").await;
    let (theirs, _) = succeeded(&store, NewJob { project: other, ..a_job() }, "r-2").await;

    let (mine, reached) = wait_for(&store, &feed(ME), Position::BEGINNING, 1).await;
    let (others, _) = wait_for(&store, &feed(other), Position::BEGINNING, 1).await;

    assert_eq!(others[0].job.id, theirs);
    assert!(read(&store, &feed(ME), reached).await.unwrap().events.is_empty());
    assert_eq!(get(&store, other, mine[0].id).await.unwrap(), None);
    assert_eq!(get(&store, ME, mine[0].id).await.unwrap().as_ref(), Some(&mine[0]));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_large_result_is_told_by_its_size(pool: PgPool) {
    let store = store(&pool);
    let (small, _) = succeeded(&store, a_job(), "r-1").await;
    let (large, _) = succeeded(&store, a_job(), "r-2").await;
    for (job, bytes) in [(small, INLINE_MAX), (large, INLINE_MAX + 1)] {
        let sql = "update falconer.results set body = convert_to(repeat('1', $2), 'UTF8') where job_id = $1";
        sqlx::query(sql).bind(job.0).bind(bytes).execute(&pool).await.unwrap();
    }

    let (events, _) = wait_for(&store, &feed(ME), Position::BEGINNING, 2).await;

    let told: Vec<(i64, Option<usize>)> = events
        .iter()
        .map(|event| event.result.as_ref().unwrap())
        .map(|part| (part.bytes, part.body.as_ref().map(bytes::Bytes::len)))
        .collect();
    assert_eq!(told, [(65_536, Some(65_536)), (65_537, None)]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn in_another_cluster_events_come_after_those_that_were_restored(pool: PgPool) {
    let store = store(&pool);
    let (old, _) = succeeded(&store, a_job(), "r-1").await;
    let (_, reached) = wait_for(&store, &feed(ME), Position::BEGINNING, 1).await;
    assert_eq!(ensure_epoch(&store).await.unwrap(), 1);
    // As after a restore from a cluster that had counted further.
    sqlx::query("update falconer.job_events set xact = '999999999999'").execute(&pool).await.unwrap();
    sqlx::query("update falconer.event_epoch set cluster = 7").execute(&pool).await.unwrap();
    assert!(!health(&store).await.unwrap().epoch_is_here);
    assert!(
        read(&store, &feed(ME), Position::BEGINNING).await.unwrap().events.is_empty(),
        "it seems to be of the future"
    );

    assert_eq!((ensure_epoch(&store).await.unwrap(), ensure_epoch(&store).await.unwrap()), (2, 2));
    let (new, _) = failed(&store, a_job(), "r-2").await;
    let (events, _) = wait_for(&store, &feed(ME), Position::BEGINNING, 2).await;

    assert_eq!([events[0].job.id, events[1].job.id], [old, new]);
    let (events, _) = wait_for(&store, &feed(ME), Position { xact: 999_999_999_999, ..reached }, 1).await;
    assert_eq!(events[0].job.id, new, "a reader that had the old ones goes on with the new one");
    assert!(health(&store).await.unwrap().epoch_is_here);
}

/// The plan of a page must be a merge of index scans in the order of the feed, with both bounds in the index.
#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_page_is_read_from_the_index_in_its_order(pool: PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query("set enable_seqscan = off").execute(&mut *connection).await.unwrap();
    let sql = "explain (costs off) select e.id from falconer.job_events e
        where e.project_id = '00000000-0000-7000-8000-000000000001'
          and (e.epoch, e.xact, e.id) > (1::smallint, '5'::xid8, '00000000-0000-0000-0000-000000000000')
          and (e.epoch, e.xact) < ((select c.epoch from falconer.event_epoch c), pg_snapshot_xmin(pg_current_snapshot()))
        order by e.epoch, e.xact, e.id limit 100";
    let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *connection).await.unwrap();
    let plan = plan.join("\n");
    assert!(!plan.contains("Sort  ") && plan.contains("Merge Append"), "{plan}");
    let conditions: Vec<&str> = plan.lines().filter(|line| line.contains("Index Cond")).collect();
    assert!(
        !conditions.is_empty() && conditions.iter().all(|line| line.contains("> ROW(") && line.contains("< ROW(")),
        "{plan}"
    );
}
