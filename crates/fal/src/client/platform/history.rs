//! The list of requests that fal ran for an endpoint: where a submit without an answer is looked for.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ListingOutcome, QueueClient, window};
use crate::endpoint_id::EndpointId;
use crate::web;

/// How many requests a page holds at most; fal's own limit.
const HISTORY_PAGE: &str = "100";

/// One request in fal's history. fal's list may lag and may be incomplete.
#[derive(Clone, Debug, Deserialize)]
pub struct HistoryItem {
    pub request_id: String,
    pub endpoint_id: String,
    #[serde(default)]
    pub sent_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub ended_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub status_code: Option<u16>,
    /// The input as fal stored it, where payloads are kept.
    #[serde(default)]
    pub json_input: Option<Box<RawValue>>,
}

/// A page of history, or why there is none.
pub type HistoryOutcome = ListingOutcome<HistoryItem>;

impl QueueClient {
    /// Lists the requests of one endpoint, by its whole id, between two times, with their inputs.
    pub async fn history(
        &self,
        endpoint: &EndpointId,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        cursor: Option<&str>,
    ) -> HistoryOutcome {
        let mut url = web::join(&self.config.platform_url, ["models", "requests", "by-endpoint"]);
        url.query_pairs_mut()
            .append_pair("endpoint_id", endpoint.as_str())
            .append_pair("expand", "payloads")
            .append_pair("limit", HISTORY_PAGE);
        window(&mut url, start, end, cursor);
        self.listing(url).await
    }
}
