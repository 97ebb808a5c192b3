//! The platform API: what fal ran (history), what it bills (billing events) and what models cost (prices).

mod billing;
mod history;
mod prices;

pub use billing::{BillingEvent, BillingOutcome};
pub use history::{HistoryItem, HistoryOutcome};
pub use prices::{Price, PricesError};

use chrono::{DateTime, SecondsFormat, Utc};
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use super::QueueClient;
use crate::loose;

/// The largest page that is read. A history page carries up to a hundred inputs.
const PAGE_MAX_BYTES: u64 = 32 * 1024 * 1024;

/// One page of a listing, or why there is none.
#[derive(Clone, Debug)]
pub enum ListingOutcome<T> {
    Page {
        items: Vec<T>,
        /// Where the next page begins; `None` on the last one.
        next_cursor: Option<String>,
    },
    /// This key or this account has no such listing (403, 404; of prices 401 too). Asking again soon is of no use.
    Refused { status: u16, message: String },
    /// Nothing was learnt.
    Unavailable { message: String },
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, alias = "prices")]
    items: Vec<&'a RawValue>,
    #[serde(default, deserialize_with = "loose::string")]
    next_cursor: Option<String>,
    #[serde(default)]
    has_more: Option<bool>,
}

impl QueueClient {
    /// Fetches a page of what fal did. A key that fal does not know (401) says nothing of the listing: fal may err for a
    /// moment, and the key be exchanged, so it must not count as an account without such a listing.
    async fn listing<T: DeserializeOwned>(&self, url: Url) -> ListingOutcome<T> {
        match self.page(url).await {
            ListingOutcome::Refused { status: 401, message } => ListingOutcome::Unavailable { message },
            outcome => outcome,
        }
    }

    /// Fetches a page. An item that cannot be read is left out with a warning: it must not hide the others.
    async fn page<T: DeserializeOwned>(&self, url: Url) -> ListingOutcome<T> {
        let answer = match self.call(Method::GET, url, PAGE_MAX_BYTES).await {
            Ok(answer) => answer,
            Err(message) => return ListingOutcome::Unavailable { message },
        };
        match answer.status.as_u16() {
            200..=299 => read_page(&answer.body),
            status @ (401 | 403 | 404) => ListingOutcome::Refused { status, message: self.message_of(&answer) },
            _ => ListingOutcome::Unavailable { message: self.message_of(&answer) },
        }
    }
}

fn read_page<T: DeserializeOwned>(body: &[u8]) -> ListingOutcome<T> {
    let Ok(page) = serde_json::from_slice::<Page<'_>>(body) else {
        return ListingOutcome::Unavailable { message: "the page cannot be read".to_owned() };
    };
    let count = page.items.len();
    let items: Vec<T> = page.items.into_iter().filter_map(|item| serde_json::from_str(item.get()).ok()).collect();
    if items.len() < count {
        tracing::warn!(
            unreadable = count - items.len(),
            count,
            "left out items of a page of fal's that cannot be read"
        );
    }
    let ends = page.has_more == Some(false);
    let next_cursor = page.next_cursor.filter(|cursor| !ends && !cursor.is_empty());
    ListingOutcome::Page { items, next_cursor }
}

/// Adds a time window and a cursor to a listing's URL.
fn window(url: &mut Url, start: DateTime<Utc>, end: DateTime<Utc>, cursor: Option<&str>) {
    let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut query = url.query_pairs_mut();
    query.append_pair("start", &text(start)).append_pair("end", &text(end));
    if let Some(cursor) = cursor {
        query.append_pair("cursor", cursor);
    }
}
