//! What models cost.

use rust_decimal::Decimal;
use serde::Deserialize;
use thiserror::Error;
use url::Url;

use super::{ListingOutcome, QueueClient};
use crate::endpoint_id::EndpointId;
use crate::{loose, web};

/// How many endpoints fal takes in one question.
const ENDPOINTS_MAX: usize = 50;

/// How many pages of one question are read, so that a cursor that never ends does not hold us.
const PAGES_MAX: usize = 10;

/// The price of one unit of a model's work.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Price {
    pub endpoint_id: EndpointId,
    #[serde(deserialize_with = "loose::decimal")]
    pub unit_price: Decimal,
    /// fal's word for the unit, such as `image`, `megapixels` or `seconds`. Opaque.
    pub unit: String,
    pub currency: String,
}

/// The prices could not be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PricesError {
    #[error("fal refused to say its prices: {message}")]
    Refused { status: u16, message: String },
    #[error("fal's prices are not to be had: {message}")]
    Unavailable { message: String },
}

impl QueueClient {
    /// Asks for the prices of models, fifty at a time. A model that fal does not know is left out.
    pub async fn prices(&self, endpoints: &[EndpointId]) -> Result<Vec<Price>, PricesError> {
        let mut prices = Vec::with_capacity(endpoints.len());
        for some in endpoints.chunks(ENDPOINTS_MAX) {
            match self.prices_of(some).await {
                // One unknown model spoils fal's answer for all of them.
                Err(PricesError::Refused { status: 404, .. }) if some.len() > 1 => {
                    for one in some.chunks(1) {
                        prices.extend(self.known_prices_of(one).await?);
                    }
                }
                Err(PricesError::Refused { status: 404, .. }) => {}
                answer => prices.extend(answer?),
            }
        }
        Ok(prices)
    }

    async fn known_prices_of(&self, endpoints: &[EndpointId]) -> Result<Vec<Price>, PricesError> {
        match self.prices_of(endpoints).await {
            Err(PricesError::Refused { status: 404, .. }) => Ok(Vec::new()),
            answer => answer,
        }
    }

    async fn prices_of(&self, endpoints: &[EndpointId]) -> Result<Vec<Price>, PricesError> {
        let mut prices: Vec<Price> = Vec::new();
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            let url = self.prices_url(endpoints, cursor.as_deref());
            match self.page::<Price>(url).await {
                ListingOutcome::Page { items, next_cursor } => {
                    prices.extend(items.into_iter().filter(|price| !price.unit_price.is_sign_negative()));
                    cursor = next_cursor;
                }
                ListingOutcome::Refused { status, message } => {
                    return Err(PricesError::Refused { status, message });
                }
                ListingOutcome::Unavailable { message } => {
                    return Err(PricesError::Unavailable { message });
                }
            }
            if cursor.is_none() {
                break;
            }
        }
        Ok(prices)
    }

    fn prices_url(&self, endpoints: &[EndpointId], cursor: Option<&str>) -> Url {
        let mut url = web::join(&self.config.platform_url, ["models", "pricing"]);
        let list: Vec<&str> = endpoints.iter().map(EndpointId::as_str).collect();
        let mut query = url.query_pairs_mut();
        query.append_pair("endpoint_id", &list.join(","));
        if let Some(cursor) = cursor {
            query.append_pair("cursor", cursor);
        }
        drop(query);
        url
    }
}
