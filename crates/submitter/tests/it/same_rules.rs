//! REST and SQL follow the same rules and make the same rows. The guard against drift: whoever changes a rule in one place
//! finds it here.

use crate::{corpus, random, requests::*};
use falconer_submitter::Submitter;
use sqlx::PgPool;
use store::accept::SubmitSettings;

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn requests_by_hand_are_judged_and_stored_alike(pool: PgPool) {
    let (taken, refused) = compare(&pool, corpus::by_hand()).await;
    assert!(taken > 80 && refused > 120, "{taken} taken, {refused} refused");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn random_requests_are_judged_and_stored_alike(pool: PgPool) {
    let (taken, refused) = compare(&pool, random::requests(600)).await;
    assert!(taken > 100 && refused > 100, "{taken} taken, {refused} refused");
}

/// Sends every request both ways, each in a transaction that is taken back.
async fn compare(pool: &PgPool, requests: Vec<Asked>) -> (usize, usize) {
    prepare(pool).await;
    let mut connection = pool.acquire().await.unwrap();
    let submitter = Submitter::load(&mut connection).await.unwrap();
    assert_eq!(submitter.attempts_max, 9, "the servers' setting");
    let (mut taken, mut refused) = (0, 0);
    for asked in requests {
        let mut tx = pool.begin().await.unwrap();
        let rust = asked.by_rust(&mut tx, &submitter).await;
        tx.rollback().await.unwrap();
        let mut tx = pool.begin().await.unwrap();
        let sql = asked.by_sql(&mut tx).await;
        tx.rollback().await.unwrap();
        match (&rust, &sql) {
            // Which field it was is told by Postgres, in its own words.
            (Verdict::Refused(_), Verdict::Refused(None)) | (Verdict::Refused(None), Verdict::Refused(_)) => {}
            (rust, sql) => assert_eq!(rust, sql, "left: as REST does it, right: SQL\n{asked:?}"),
        }
        if matches!(rust, Verdict::Stored(_)) { taken += 1 } else { refused += 1 }
    }
    (taken, refused)
}

/// Prices, seed models and settings, as a server leaves them.
async fn prepare(pool: &PgPool) {
    let store = store::Store { pools: pools(pool) };
    store::accept::publish(&store, SubmitSettings { attempts_max: 9 }, fal::seeds::models()).await.unwrap();
    for (model, unit, price) in [
        ("fal-ai/flux/dev", "megapixels", "0.025"),
        ("fal-ai/flux/schnell", "processed megapixels", "0.003"),
        ("fal-ai/pro", "images", "0.040"),
        ("fal-ai/video", "seconds", "0.1"),
        ("fal-ai/dear", "image", "1234567.891"),
    ] {
        let insert = "insert into falconer.model_prices values ($1, $2, $3::text::numeric, 'USD', falconer.now())";
        sqlx::query(insert).bind(model).bind(unit).bind(price).execute(pool).await.unwrap();
    }
    sqlx::query("insert into falconer.model_prices values ('fal-ai/euro', 'image', 1, 'EUR', falconer.now())")
        .execute(pool)
        .await
        .unwrap();
}

pub(crate) fn pools(pool: &PgPool) -> store::Pools {
    let pool = || pool.clone();
    store::Pools { callbacks: pool(), api: pool(), work: pool(), maintenance: pool() }
}
