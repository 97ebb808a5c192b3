//! What fal asks for a unit of each model.

use crate::{Store, error::Result};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

/// The price of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPrice {
    pub model: String,
    /// What is counted, in fal's words: `images`, `seconds`.
    pub unit: String,
    pub unit_price: Decimal,
    pub currency: String,
}

/// Writes prices, stamped with the database's time.
pub async fn upsert(store: &Store, prices: &[ModelPrice]) -> Result<()> {
    let mut rows: Vec<&ModelPrice> = prices.iter().collect();
    rows.sort_by(|a, b| a.model.cmp(&b.model));
    rows.dedup_by(|b, a| a.model == b.model);
    sqlx::query!(
        "insert into falconer.model_prices (model, unit, unit_price, currency, fetched_at)
         select n.*, clock.now from unnest($1::text[], $2::text[], $3::numeric[], $4::text[]) as n,
             (select falconer.now() as now offset 0) as clock
         on conflict (model) do update set unit = excluded.unit, unit_price = excluded.unit_price,
             currency = excluded.currency, fetched_at = excluded.fetched_at",
        &rows.iter().map(|row| row.model.clone()).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.unit.clone()).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.unit_price).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.currency.clone()).collect::<Vec<_>>(),
    )
    .execute(&store.pools.maintenance)
    .await?;
    Ok(())
}

/// Reads the price of one model.
pub async fn get(store: &Store, model: &str) -> Result<Option<ModelPrice>> {
    let row = sqlx::query_as!(
        ModelPrice,
        "select model, unit, unit_price, currency from falconer.model_prices where model = $1",
        model,
    )
    .fetch_optional(&store.pools.api)
    .await?;
    Ok(row)
}

/// Reads every price, with the time it was fetched at.
pub async fn list(store: &Store) -> Result<Vec<(ModelPrice, DateTime<Utc>)>> {
    let rows =
        sqlx::query!("select model, unit, unit_price, currency, fetched_at from falconer.model_prices order by model")
            .fetch_all(&store.pools.maintenance)
            .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let price =
                ModelPrice { model: row.model, unit: row.unit, unit_price: row.unit_price, currency: row.currency };
            (price, row.fetched_at)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{health, jobs::tests::world, migrate::SchemaState};
    use sqlx::PgPool;

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn the_last_price_counts(pool: PgPool) {
        let store = world::store(&pool);
        let price = |amount: &str| ModelPrice {
            model: "fal-ai/flux/dev".to_owned(),
            unit: "megapixels".to_owned(),
            unit_price: amount.parse().unwrap(),
            currency: "USD".to_owned(),
        };
        upsert(&store, &[price("0.02"), price("0.025")]).await.unwrap();
        upsert(&store, &[price("0.03")]).await.unwrap();
        assert_eq!(get(&store, "fal-ai/flux/dev").await.unwrap(), Some(price("0.03")));
        assert_eq!(get(&store, "fal-ai/other").await.unwrap(), None);
        assert_eq!(list(&store).await.unwrap().len(), 1);
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn a_migrated_database_is_current(pool: PgPool) {
        let store = world::store(&pool);
        health::ping(&store).await.unwrap();
        assert_eq!(health::schema_state(&store).await.unwrap(), SchemaState::Current);
        sqlx::query("delete from falconer._migrations where version = 1").execute(&pool).await.unwrap();
        assert!(matches!(health::schema_state(&store).await.unwrap(), SchemaState::Behind { .. }));
    }
}
