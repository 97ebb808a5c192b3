//! Every filter and every pair of them, over more rows than a page may read.

use super::*;
use crate::{PoolSizes, bench::fill_searchable, jobs::tests::world::ME};
use sqlx::{
    AssertSqlSafe, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::time::{Duration, Instant};

const JOBS: i64 = 50_000;

/// What a page may read beside the rows that are checked: those that it shows, in the table and in the list.
const SHOWN: i64 = 2 * 201;

/// A filter, and the same in SQL.
type Case = (JobFilter, &'static str);

fn cases() -> Vec<Case> {
    let text = |text: &str| Some(text.to_owned());
    let states = |states: &[&str]| Some(states.iter().map(|state| (*state).to_owned()).collect());
    let metadata = |json: Value| JobFilter { metadata: Some(json), ..JobFilter::default() };
    vec![
        (JobFilter { states: states(&["succeeded"]), ..JobFilter::default() }, "state = 'succeeded'"),
        (JobFilter { states: states(&["failed", "held"]), ..JobFilter::default() }, "state in ('failed', 'held')"),
        (JobFilter { states: states(&["running"]), ..JobFilter::default() }, "state = 'running'"),
        (JobFilter { model: text("fal-ai/flux/dev"), ..JobFilter::default() }, "model = 'fal-ai/flux/dev'"),
        (JobFilter { model: text("fal-ai/rare"), ..JobFilter::default() }, "model = 'fal-ai/rare'"),
        (JobFilter { model: text("fal-ai/none"), ..JobFilter::default() }, "model = 'fal-ai/none'"),
        (JobFilter { error_class: text("abandoned"), ..JobFilter::default() }, "error_class = 'abandoned'"),
        (JobFilter { tag: text("t3"), ..JobFilter::default() }, "tags @> '{t3}'"),
        (JobFilter { tag: text("rare"), ..JobFilter::default() }, "tags @> '{rare}'"),
        (JobFilter { tag: text("old"), ..JobFilter::default() }, "tags @> '{old}'"),
        (metadata(json!({"user": {"id": "u124"}})), r#"metadata @> '{"user": {"id": "u124"}}'"#),
        (metadata(json!({"n": 4})), r#"metadata @> '{"n": 4}'"#),
        (metadata(json!({"user": {}})), r#"metadata @> '{"user": {}}'"#),
    ]
}

fn both(one: &JobFilter, other: &JobFilter) -> JobFilter {
    JobFilter {
        states: one.states.clone().or(other.states.clone()),
        model: one.model.clone().or(other.model.clone()),
        tag: one.tag.clone().or(other.tag.clone()),
        metadata: one.metadata.clone().or(other.metadata.clone()),
        error_class: one.error_class.clone().or(other.error_class.clone()),
        ..JobFilter::default()
    }
}

/// Whether two filters ask for different things, so that they can be asked together.
fn differ(one: &JobFilter, other: &JobFilter) -> bool {
    let asked = |filter: &JobFilter| {
        [
            filter.states.is_some(),
            filter.model.is_some(),
            filter.tag.is_some(),
            filter.metadata.is_some(),
            filter.error_class.is_some(),
        ]
    };
    asked(one).iter().zip(asked(other)).all(|(one, other)| !(*one && other))
}

/// A store whose connections are set as those of a server, with many jobs that another project does not see.
async fn filled(pool: &PgPool, connect: &PgConnectOptions) -> Store {
    let store = Store::open(connect, PoolSizes { callbacks: 1, api: 1, work: 1, maintenance: 1 });
    fill_searchable(&store, JOBS).await.unwrap();
    sqlx::query("vacuum (analyze) falconer.jobs").execute(pool).await.unwrap();
    store
}

/// Rows that were read of all jobs: in sequence, and by an index.
async fn read_so_far(store: &Store, pool: &PgPool) -> (i64, i64) {
    // A connection tells its counts when it is idle; this makes both do so at once.
    for pool in [&store.pools.api, pool] {
        sqlx::query("select pg_stat_force_next_flush()").execute(pool).await.unwrap();
        sqlx::query("select 1").execute(pool).await.unwrap();
    }
    sqlx::query_as(
        "select sum(seq_tup_read)::bigint, sum(idx_tup_fetch)::bigint from pg_stat_user_tables where relname ~ '^jobs_2'",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

async fn walk(store: &Store, project: ProjectId, filter: &JobFilter) -> (Vec<JobId>, usize) {
    let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = list(store, project, filter, after, LIST_MAX).await.unwrap();
        found.extend(page.items.iter().map(|job| job.id));
        pages += 1;
        let Some(next) = page.next else { return (found, pages) };
        assert!(after.is_none_or(|after| next < after), "every page gets further");
        after = Some(next);
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn every_filter_and_every_pair_finds_what_it_says_reads_few_rows_and_none_in_sequence(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let pool = options.max_connections(1).connect_with(connect.clone()).await.unwrap();
    let store = filled(&pool, &connect).await;
    let cases = cases();
    // A single filter has an index of its own, and reads what it shows. Most have succeeded, so that few are passed over.
    let alone = SHOWN + 10;
    let mut asked: Vec<(JobFilter, String, i64)> =
        cases.iter().map(|(filter, sql)| (filter.clone(), (*sql).to_owned(), alone)).collect();
    for (at, (one, of_one)) in cases.iter().enumerate() {
        for (other, of_other) in &cases[at + 1..] {
            if differ(one, other) {
                let rows = i64::try_from(SCAN_MAX).unwrap() + SHOWN;
                asked.push((both(one, other), format!("{of_one} and {of_other}"), rows));
            }
        }
    }
    assert!(asked.len() > 50);
    for (filter, sql, rows) in asked {
        let (in_sequence, by_index) = read_so_far(&store, &pool).await;
        let began = Instant::now();
        let first = list(&store, ME, &filter, None, LIST_MAX).await.unwrap();
        let took = began.elapsed();
        let (in_sequence_then, by_index_then) = read_so_far(&store, &pool).await;

        assert!(took < Duration::from_secs(2), "{sql}: {took:?}");
        assert_eq!(in_sequence_then - in_sequence, 0, "{sql} reads rows in sequence");
        // The newest jobs come first, then all that have the label are read at once, where there is time for it.
        let is_labelled = filter.tag.is_some() || filter.metadata.is_some();
        let bound = if is_labelled { rows.max(i64::try_from(SCAN_MAX).unwrap() + SHOWN) + JOBS / 2 } else { rows };
        assert!(by_index_then - by_index <= bound, "{sql} reads {} rows", by_index_then - by_index);

        let wanted: Vec<JobId> = sqlx::query_scalar(AssertSqlSafe(format!(
            "select id from falconer.jobs where {sql} order by id desc limit 600"
        )))
        .fetch_all(&pool)
        .await
        .unwrap();
        let shown: Vec<JobId> = first.items.iter().map(|job| job.id).collect();
        assert_eq!(shown[..], wanted[..shown.len()], "{sql}: the newest come first");
        assert!(first.next.is_some() || shown.len() == wanted.len(), "{sql}: whoever ends has told all");
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn pages_of_a_filter_that_few_rows_pass_lead_to_all_of_them(options: PgPoolOptions, connect: PgConnectOptions) {
    let pool = options.max_connections(1).connect_with(connect.clone()).await.unwrap();
    let store = filled(&pool, &connect).await;
    let rare = JobFilter { tag: Some("rare".to_owned()), ..JobFilter::default() };
    assert_eq!(
        walk(&store, ME, &rare).await,
        (vec![id_of(&pool, "tags @> '{rare}'").await], 1),
        "one page tells of it"
    );

    // No index knows an empty object, nor two filters together: such pages are short, and there are more of them.
    let states = Some(vec!["succeeded".to_owned()]);
    let model = Some("fal-ai/rare".to_owned());
    let metadata = Some(json!({"none": {}}));
    let (found, pages) = walk(&store, ME, &JobFilter { metadata, ..JobFilter::default() }).await;
    assert_eq!((found, pages), (vec![], 1 + usize::try_from(JOBS).unwrap() / SCAN_MAX));
    let (found, _) = walk(&store, ME, &JobFilter { states, model, ..JobFilter::default() }).await;
    assert_eq!(found, [id_of(&pool, "model = 'fal-ai/rare'").await]);
    let old = JobFilter { tag: Some("old".to_owned()), ..JobFilter::default() };
    assert_eq!(walk(&store, ME, &old).await.0.len(), usize::try_from(JOBS).unwrap() / 2 - 1);

    let stranger = ProjectId(crate::fresh_id());
    for filter in [JobFilter::default(), rare, old] {
        assert_eq!(walk(&store, stranger, &filter).await, (vec![], 1), "another project finds nothing");
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_span_of_time_is_found_without_the_jobs_around_it(options: PgPoolOptions, connect: PgConnectOptions) {
    let pool = options.max_connections(1).connect_with(connect.clone()).await.unwrap();
    let store = Store::open(&connect, PoolSizes { callbacks: 1, api: 1, work: 1, maintenance: 1 });
    // Hours apart, as ids tell time with the tolerance of an hour.
    sqlx::query("update falconer.clock set ahead_by = '3 days'").execute(&pool).await.unwrap();
    fill_searchable(&store, 3000).await.unwrap();
    sqlx::query("update falconer.jobs set created_at = created_at + interval '3 days'").execute(&pool).await.unwrap();
    let newest = store.now().await.unwrap();
    let from = |ms| JobFilter { created_from: Some(newest - TimeDelta::milliseconds(ms)), ..JobFilter::default() };
    let recent = walk(&store, ME, &from(1500)).await.0.len();
    assert!((1..1500).contains(&recent), "{recent}");
    assert_eq!(walk(&store, ME, &from(60_000)).await.0.len(), 3000);
    assert_eq!(walk(&store, ME, &from(-1)).await, (vec![], 1));

    let between = JobFilter { created_before: Some(newest - TimeDelta::milliseconds(1500)), ..from(60_000) };
    let (older, _) = walk(&store, ME, &between).await;
    assert_eq!(older.len() + recent, 3000);
    let yesterday = JobFilter { created_before: Some(newest - TimeDelta::days(4)), ..JobFilter::default() };
    let (in_sequence, by_index) = read_so_far(&store, &pool).await;
    assert_eq!(walk(&store, ME, &yesterday).await, (vec![], 1));
    assert_eq!(read_so_far(&store, &pool).await, (in_sequence, by_index), "nothing is read to find nothing");
}

#[test]
fn parts_are_merged_down_to_where_the_first_of_them_stopped() {
    let id = |n: u128| JobId(Uuid::from_u128(n));
    let part = |ids: &[u128], stopped_at: Option<u128>| Found {
        ids: ids.iter().map(|n| id(*n)).collect(),
        stopped_at: stopped_at.map(id),
    };
    let merged = Found::merge(vec![part(&[9, 5, 1], None), part(&[8, 6], Some(4)), part(&[7], Some(3))]);
    assert_eq!(merged, part(&[9, 8, 7, 6, 5], Some(4)));
    assert_eq!(Found::merge(vec![]), Found::default());
}

async fn id_of(pool: &PgPool, sql: &str) -> JobId {
    let sql = format!("select id from falconer.jobs where {sql}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap()
}
