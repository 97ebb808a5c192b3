//! What fal bills, event by event: the other side of our ledger.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;

use super::{ListingOutcome, QueueClient, window};
use crate::{loose, web};

/// One charge. Amounts are fal's digits, never floats.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BillingEvent {
    pub request_id: String,
    pub endpoint_id: String,
    pub timestamp: DateTime<Utc>,
    #[serde(deserialize_with = "loose::decimal")]
    pub quantity: Decimal,
    pub unit: String,
    #[serde(deserialize_with = "loose::decimal")]
    pub unit_price: Decimal,
    #[serde(deserialize_with = "loose::decimal")]
    pub cost: Decimal,
    pub currency: String,
}

/// A page of billing events, or why there is none.
pub type BillingOutcome = ListingOutcome<BillingEvent>;

impl QueueClient {
    /// Lists the account's billing events between two times.
    pub async fn billing_events(
        &self,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        cursor: Option<&str>,
    ) -> BillingOutcome {
        let path = self.config.billing_events_path.trim_start_matches('/').split('/');
        let mut url = web::join(&self.config.platform_url, path);
        window(&mut url, start, end, cursor);
        self.listing(url).await
    }
}
