//! `falconer.submit_job`: keys, credentials, rights.

use crate::requests::Asked;
use sqlx::{Connection, PgConnection, PgPool, postgres::PgDatabaseError};
use std::time::Duration;
use uuid::Uuid;

async fn submit(pool: &PgPool, asked: &Asked) -> Result<Uuid, sqlx::Error> {
    asked.submit(&mut pool.acquire().await.unwrap(), "default").await
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

async fn run(connection: &mut PgConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(sql).execute(connection).await.map(drop)
}

async fn advance(pool: &PgPool, by: &'static str) {
    let sql = "update falconer.clock set ahead_by = ahead_by + $1::text::interval";
    sqlx::query(sql).bind(by).execute(pool).await.unwrap();
}

fn keyed(key: &str) -> Asked {
    Asked { key: Some(key.to_owned()), ..Asked::good() }
}

fn unique(key: &str) -> Asked {
    Asked { unique: Some((key.to_owned(), Duration::from_mins(10))), ..Asked::good() }
}

fn refusal(error: &sqlx::Error) -> &PgDatabaseError {
    error.as_database_error().expect("Postgres refused").downcast_ref()
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn one_key_is_one_job_for_two_days(pool: PgPool) {
    let first = submit(&pool, &keyed("k")).await.unwrap();
    assert_eq!(submit(&pool, &keyed("k")).await.unwrap(), first);

    let other = Asked { priority: Some(1), ..keyed("k") };
    let error = submit(&pool, &other).await.unwrap_err();
    assert_eq!((refusal(&error).code(), refusal(&error).column()), ("23505", Some("idempotency_key")));
    assert_eq!(submit(&pool, &keyed("k")).await.unwrap(), first, "the first is untouched");
    assert_eq!(count(&pool, "select count(*) from falconer.jobs").await, 1);

    advance(&pool, "48 hours").await;
    assert_ne!(submit(&pool, &other).await.unwrap(), first);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_not_said_is_what_the_default_says(pool: PgPool) {
    let said = Asked {
        priority: Some(0),
        tags: Some(Vec::new()),
        metadata: Some("{}".to_owned()),
        on_unknown: Some("patient".to_owned()),
        ..keyed("k")
    };
    let plain =
        "select falconer.submit_job('default', 'fal-ai/flux/dev', '{\"prompt\": \"an owl\"}', idempotency_key => 'k')";
    let first: Uuid = sqlx::query_scalar(plain).fetch_one(&pool).await.unwrap();
    assert_eq!(submit(&pool, &said).await.unwrap(), first);
    assert_eq!(submit(&pool, &keyed("k")).await.unwrap(), first, "null is not said");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_unique_key_holds_and_no_idempotency_key_leads_nowhere(pool: PgPool) {
    let first = submit(&pool, &unique("u")).await.unwrap();
    let both = Asked { key: Some("k".to_owned()), ..unique("u") };
    for _ in 0..2 {
        assert_eq!(submit(&pool, &both).await.unwrap(), first);
    }
    let dangling = "select count(*) from falconer.idempotency_keys k
        where not exists (select from falconer.jobs j where j.id = k.job_id)";
    assert_eq!(count(&pool, dangling).await, 0);
    advance(&pool, "10 minutes").await;
    assert_ne!(submit(&pool, &unique("u")).await.unwrap(), first);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn many_at_once_with_one_key_make_one_job(pool: PgPool) {
    for round in 0..20 {
        let asked = [keyed(&format!("k-{round}")), unique(&format!("u-{round}"))];
        for asked in asked {
            let answers = futures::future::join_all((0..6).map(|_| submit(&pool, &asked))).await;
            let ids: Vec<Uuid> = answers.into_iter().map(Result::unwrap).collect();
            assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        }
    }
    assert_eq!(count(&pool, "select count(*) from falconer.jobs").await, 40);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_key_that_came_by_another_way_is_not_ours(pool: PgPool) {
    let submitter = falconer_submitter::Submitter::default();
    let request = falconer_submitter::JobRequest::parse(keyed("k").body().as_bytes()).unwrap();
    let mut tx = pool.begin().await.unwrap();
    submitter.enqueue_once(&mut tx, domain::ProjectId::DEFAULT, "k", request).await.unwrap();
    tx.commit().await.unwrap();
    assert!(submit(&pool, &keyed("k")).await.is_err());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_projects_own_account_pays(pool: PgPool) {
    let sql = "insert into falconer.credentials (id, name, created_at)
            values ('00000000-0000-7000-8000-0000000000aa', 'theirs', falconer.now());
        insert into falconer.projects (id, name, created_at, credential_id) values
            ('00000000-0000-7000-8000-0000000000bb', 'shop', falconer.now(), '00000000-0000-7000-8000-0000000000aa')";
    run(&mut pool.acquire().await.unwrap(), sql).await.unwrap();
    let shop = domain::ProjectId(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_00bb));

    Asked::good().submit(&mut pool.acquire().await.unwrap(), "shop").await.unwrap();
    let request = falconer_submitter::JobRequest::parse(Asked::good().body().as_bytes()).unwrap();
    let mut tx = pool.begin().await.unwrap();
    falconer_submitter::Submitter::default().enqueue(&mut tx, shop, request).await.unwrap();
    tx.commit().await.unwrap();
    submit(&pool, &Asked::good()).await.unwrap();

    let payers = "select array_agg(j.credential_id::text || ' ' || l.credential_id::text order by j.created_at)
        from falconer.jobs j join falconer.lanes l on l.id = j.lane_id";
    let payers: Vec<String> = sqlx::query_scalar(payers).fetch_one(&pool).await.unwrap();
    assert_eq!(payers.len(), 3);
    assert!(payers[..2].iter().all(|payer| payer.matches("00aa").count() == 2), "{payers:?}");
    assert_eq!(payers[2].matches("00aa").count(), 0, "{payers:?}");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn ids_of_one_session_stand_in_the_order_of_its_calls(pool: PgPool) {
    let sql = "select array_agg(falconer.fresh_id()) from generate_series(1, 200)";
    let mut ids: Vec<Uuid> = Vec::new();
    let mut connection = pool.acquire().await.unwrap();
    for _ in 0..200 {
        ids.push(sqlx::query_scalar("select falconer.fresh_id()").fetch_one(&mut *connection).await.unwrap());
    }
    assert!(ids.is_sorted(), "{ids:?}");
    let many: Vec<Uuid> = sqlx::query_scalar(sql).fetch_one(&mut *connection).await.unwrap();
    for id in many.iter().chain(&ids) {
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
    }
}

/// The roles and the wrapper are those of docs/enqueue.md.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_role_may_call_it_and_touch_nothing_else(pool: PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    let name = format!("caller_{}", Uuid::new_v4().simple());
    let wrapper = "create schema shop;
        create function shop.submit_job(model text, input json, idempotency_key text default null) returns uuid
            language sql security definer set search_path = pg_catalog, pg_temp
            as $$ select falconer.submit_job('default', model, input, idempotency_key => idempotency_key) $$;
        revoke all on function shop.submit_job from public";
    run(&mut connection, wrapper).await.unwrap();
    for sql in [
        format!("create role {name}_any"),
        format!("grant usage on schema falconer to {name}_any"),
        format!("grant execute on function falconer.submit_job to {name}_any"),
        format!("create role {name}_one"),
        format!("grant usage on schema shop to {name}_one"),
        format!("grant execute on function shop.submit_job to {name}_one"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await.unwrap();
    }
    let call = "select falconer.submit_job('default', 'a/b', '{}')";
    let wrapped = "select shop.submit_job('a/b', '{}')";
    for (role, sql, may) in [
        ("any", call, true),
        ("any", wrapped, false),
        ("any", "select * from falconer.jobs", false),
        ("any", "insert into falconer.lanes (model) values ('x')", false),
        ("one", call, false),
        ("one", wrapped, true),
    ] {
        let mut tx = connection.begin().await.unwrap();
        let set = sqlx::AssertSqlSafe(format!("set local role {name}_{role}"));
        sqlx::raw_sql(set).execute(&mut *tx).await.unwrap();
        let done = run(&mut tx, sql).await;
        assert_eq!(done.is_ok(), may, "{role}: {sql}: {done:?}");
        tx.rollback().await.unwrap();
    }
    let drop = sqlx::AssertSqlSafe(format!("drop owned by {name}_any, {name}_one; drop role {name}_any, {name}_one"));
    sqlx::raw_sql(drop).execute(&mut *connection).await.unwrap();
}
