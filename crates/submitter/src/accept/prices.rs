//! What a job is going to cost, as far as fal's price list and the input say.

use rust_decimal::Decimal;
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

/// Pixels that fal's price pages call one megapixel. The pages do not say whether 1024 × 1024 counts as one or two;
/// bills of single calls say one.
const MEGAPIXEL: u64 = 1024 * 1024;

/// The price of one unit of a model, in US dollars.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitPrice {
    /// As fal names it: `image`, `megapixels`, `seconds`, …
    pub unit: String,
    pub unit_price: Decimal,
}

/// The price list. Cheap to clone; all clones share it.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    by_model: Arc<RwLock<HashMap<String, UnitPrice>>>,
}

#[derive(Deserialize)]
struct Quantity {
    num_images: Option<u32>,
    num_results: Option<u32>,
    image_size: Option<ImageSize>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ImageSize {
    Preset(String),
    Pixels { width: u64, height: u64 },
}

impl Prices {
    /// Takes over a new price list.
    pub fn replace(&self, list: impl IntoIterator<Item = (String, UnitPrice)>) {
        *self.by_model.write().unwrap_or_else(PoisonError::into_inner) = list.into_iter().collect();
    }

    /// Estimates one run. Nothing where the model's price is not known, or its unit says nothing about the input.
    pub fn estimate(&self, model: &str, input: &[u8]) -> Option<Decimal> {
        let prices = self.by_model.read().unwrap_or_else(PoisonError::into_inner);
        let price = prices.get(model)?;
        let units = units(&price.unit, input)?;
        price.unit_price.checked_mul(Decimal::from(units)).map(|dollars| dollars.normalize())
    }
}

fn units(unit: &str, input: &[u8]) -> Option<u64> {
    let asked: Quantity = serde_json::from_slice(input).ok()?;
    let images = u64::from(asked.num_images.or(asked.num_results).unwrap_or(1));
    match unit.trim_end_matches('s') {
        "image" | "generation" | "request" => Some(images),
        "megapixel" | "processed megapixel" => images.checked_mul(megapixels(asked.image_size.as_ref())?),
        _ => None,
    }
}

fn megapixels(size: Option<&ImageSize>) -> Option<u64> {
    let pixels = match size {
        // The flux family's own default.
        None => 1024 * 768,
        Some(ImageSize::Pixels { width, height }) => width.checked_mul(*height)?,
        Some(ImageSize::Preset(name)) => match name.as_str() {
            "square_hd" => 1024 * 1024,
            "square" => 512 * 512,
            "portrait_4_3" | "landscape_4_3" => 1024 * 768,
            "portrait_16_9" | "landscape_16_9" => 1024 * 576,
            _ => return None,
        },
    };
    Some(pixels.div_ceil(MEGAPIXEL).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        let prices = Prices::default();
        let price =
            |unit: &str, unit_price: &str| UnitPrice { unit: unit.to_owned(), unit_price: unit_price.parse().unwrap() };
        prices.replace([
            ("fal-ai/flux/dev".to_owned(), price("megapixels", "0.025")),
            ("fal-ai/flux-pro/v1.1-ultra".to_owned(), price("image", "0.06")),
            ("fal-ai/video".to_owned(), price("seconds", "0.1")),
        ]);
        prices
    }

    #[test]
    fn megapixels_are_rounded_up_for_each_image() {
        let dollars = |input: &str| prices().estimate("fal-ai/flux/dev", input.as_bytes()).unwrap().to_string();
        assert_eq!(dollars("{}"), "0.025");
        assert_eq!(dollars(r#"{"image_size":"square_hd","num_images":4}"#), "0.1");
        assert_eq!(dollars(r#"{"image_size":{"width":1025,"height":1024}}"#), "0.05");
    }

    #[test]
    fn what_nobody_can_count_is_not_estimated() {
        let most = r#"{"num_images":4294967295,"image_size":{"width":4294967296,"height":4294967295}}"#;
        assert_eq!(prices().estimate("fal-ai/flux/dev", most.as_bytes()), None);
    }

    #[test]
    fn what_the_input_does_not_tell_is_not_guessed() {
        assert_eq!(prices().estimate("fal-ai/video", b"{}"), None);
        assert_eq!(prices().estimate("fal-ai/unlisted", b"{}"), None);
    }
}
