//! After the drain everything that fal ever said is said again, twice: to the listener, with its original headers, and
//! through the operator's `reprocess`. Neither may change anything.

use super::{load::Door, site::Site};
use anyhow::{Context as _, Result};
use futures::{StreamExt as _, stream};
use serde::Serialize;
use simulator::WebhookHeaders;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Calls at once.
const AT_ONCE: usize = 8;
/// Of each kind; more would take longer than they tell.
const MOST: i64 = 2_000;
/// What must not change.
const TABLES: [&str; 6] = ["jobs", "attempts", "results", "transitions", "job_events", "ledger"];

/// What was said again, and what that changed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Replayed {
    pub posted_again: usize,
    pub reprocessed: usize,
    /// By the status of the answer, for both kinds.
    pub answers: BTreeMap<String, usize>,
    /// Tables whose rows differ from those before. None is right.
    pub changed: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct Stored {
    id: Uuid,
    request_id: String,
    user_id: String,
    signed_at: i64,
    signature: String,
    body: Vec<u8>,
}

/// Says everything again.
pub async fn run(site: &Site, door: &Door) -> Result<Replayed> {
    let before = digests(site).await?;
    let stored: Vec<Stored> = sqlx::query_as(
        "select id, request_id, user_id, signed_at, signature, body from falconer.callbacks
         where disposition <> 'rejected' and body is not null and request_id is not null and user_id is not null
           and signed_at is not null and signature is not null
         order by md5(id::text) limit $1",
    )
    .bind(MOST)
    .fetch_all(&site.db)
    .await
    .context("the stored callbacks")?;
    let urls: HashMap<String, String> =
        site.sim.requests().into_iter().filter_map(|seen| Some((seen.request_id, seen.webhook_url?))).collect();
    let mut replayed = Replayed::default();
    let posted: Vec<String> = stream::iter(&stored)
        .filter_map(async |row| Some((row, urls.get(&row.request_id)?)))
        .map(|(row, url)| post(site, row, url))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let again: Vec<String> =
        stream::iter(&stored).map(|row| reprocess(door, row.id)).buffer_unordered(AT_ONCE).collect().await;
    (replayed.posted_again, replayed.reprocessed) = (posted.len(), again.len());
    for answer in posted.into_iter().chain(again) {
        *replayed.answers.entry(answer).or_default() += 1;
    }
    let after = digests(site).await?;
    replayed.changed = TABLES.iter().filter(|table| before[*table] != after[*table]).map(|t| (*t).to_owned()).collect();
    Ok(replayed)
}

async fn post(site: &Site, row: &Stored, url: &str) -> String {
    let headers = WebhookHeaders {
        request_id: row.request_id.clone(),
        user_id: row.user_id.clone(),
        timestamp: row.signed_at.to_string(),
        signature: row.signature.clone(),
    };
    let answered = site.sim.post_callback(url, &headers, row.body.clone()).await;
    answered.map_or_else(|_| "no answer".to_owned(), |status| format!("posted: {status}"))
}

async fn reprocess(door: &Door, id: Uuid) -> String {
    let url = format!("{}/v1/callbacks/{id}/reprocess", door.apis[0]);
    let answered = door.client.post(url).bearer_auth(&door.api_key).send().await;
    answered.map_or_else(|_| "no answer".to_owned(), |answer| format!("reprocessed: {}", answer.status().as_u16()))
}

/// One number for all rows of each table.
async fn digests(site: &Site) -> Result<BTreeMap<&'static str, Option<String>>> {
    let mut digests = BTreeMap::new();
    for table in TABLES {
        let query = format!("select sum(hashtextextended(t::text, 0)::numeric)::text from falconer.{table} t");
        let digest = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&site.db).await;
        digests.insert(table, digest.context(table)?);
    }
    Ok(digests)
}
