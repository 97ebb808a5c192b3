//! The models: what each needs, how long it runs, what it gives back and what it costs.
//!
//! Prices are those that fal's pages and its callers report; where none is established (the models billed by computing
//! time) the figure here only has to be stable.

use std::str::FromStr as _;
use std::time::Duration;

use rust_decimal::Decimal;

use crate::config::Latency;

/// One model, or the stand-in for all that are not listed.
#[derive(Debug)]
pub(crate) struct Model {
    /// The endpoint id; empty for the stand-in.
    pub(crate) id: &'static str,
    /// The fields that an input must have.
    pub(crate) required: &'static [&'static str],
    pub(crate) shape: Shape,
    pub(crate) charge: Charge,
    /// The unit's name in price listings.
    pub(crate) unit: &'static str,
    price: &'static str,
    /// The usual run time.
    pub(crate) latency: Latency,
}

/// The shape of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `images, timings, seed, has_nsfw_concepts, prompt`, all always there.
    Flux,
    /// One `image`.
    Single,
    /// `images` alone.
    Images,
    /// `images` and `seed`.
    ImagesSeed,
    /// `images` and `description`.
    ImagesDescription,
}

/// What one unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    Megapixel,
    Image,
    Call,
    Second,
}

impl Model {
    /// US dollars for one unit.
    pub(crate) fn price(&self) -> Decimal {
        Decimal::from_str(self.price).expect("the table's prices are decimal numbers")
    }
}

/// The model behind an endpoint id, or none where fal would answer 404.
///
/// Listed models, everything else under `fal-ai/`, and everything in the `workflows/` and `comfy/` namespaces exist.
pub(crate) fn find(endpoint: &str) -> Option<&'static Model> {
    if let Some(model) = MODELS.iter().find(|model| model.id == endpoint) {
        return Some(model);
    }
    let segments: Vec<&str> = endpoint.split('/').collect();
    let long_enough = match segments[0] {
        "fal-ai" => segments.len() >= 2,
        "workflows" | "comfy" => segments.len() >= 3,
        _ => false,
    };
    let well_formed = segments.iter().all(|segment| !segment.is_empty());
    (long_enough && well_formed).then_some(&ANY)
}

/// The part of an endpoint id that status, result and cancel URLs carry: `[namespace/]owner/alias`.
pub(crate) fn app_of(endpoint: &str) -> &str {
    let kept = if endpoint.starts_with("workflows/") || endpoint.starts_with("comfy/") { 3 } else { 2 };
    match endpoint.match_indices('/').nth(kept - 1) {
        Some((cut, _)) => &endpoint[..cut],
        None => endpoint,
    }
}

const fn millis(min: u64, max: u64) -> Latency {
    Latency { min: Duration::from_millis(min), max: Duration::from_millis(max) }
}

const ORDINARY: Latency = millis(1_000, 3_000);

static ANY: Model = Model {
    id: "",
    required: &[],
    shape: Shape::Flux,
    charge: Charge::Call,
    unit: "requests",
    price: "0.02",
    latency: ORDINARY,
};

static MODELS: [Model; 12] = [
    model("fal-ai/flux/schnell", &["prompt"], Shape::Flux, (Charge::Megapixel, "0.003"), millis(400, 1_200)),
    model("fal-ai/flux/dev", &["prompt"], Shape::Flux, (Charge::Megapixel, "0.025"), millis(1_500, 3_000)),
    model("fal-ai/flux-pro/v1.1", &["prompt"], Shape::Flux, (Charge::Megapixel, "0.04"), millis(2_000, 5_000)),
    model("fal-ai/flux-pro/v1.1-ultra", &["prompt"], Shape::Flux, (Charge::Image, "0.06"), millis(4_000, 9_000)),
    model("fal-ai/imageutils/rembg", &["image_url"], Shape::Single, (Charge::Second, "0.00111"), ORDINARY),
    model("fal-ai/bria/background/remove", &["image_url"], Shape::Single, (Charge::Call, "0.018"), ORDINARY),
    model("fal-ai/birefnet/v2", &["image_url"], Shape::Single, (Charge::Second, "0.00111"), ORDINARY),
    model("fal-ai/flux-pro/kontext", &["prompt", "image_url"], Shape::Flux, (Charge::Image, "0.04"), ORDINARY),
    model("fal-ai/bria/product-shot", &["image_url"], Shape::Images, (Charge::Call, "0.04"), ORDINARY),
    model("fal-ai/bria/background/replace", &["image_url"], Shape::ImagesSeed, (Charge::Call, "0.04"), ORDINARY),
    model("fal-ai/iclight-v2", &["prompt", "image_url"], Shape::Flux, (Charge::Megapixel, "0.1"), ORDINARY),
    model(
        "fal-ai/nano-banana/edit",
        &["prompt", "image_urls"],
        Shape::ImagesDescription,
        (Charge::Image, "0.0398"),
        ORDINARY,
    ),
];

const fn model(
    id: &'static str,
    required: &'static [&'static str],
    shape: Shape,
    (charge, price): (Charge, &'static str),
    latency: Latency,
) -> Model {
    let unit = match charge {
        Charge::Megapixel => "megapixels",
        Charge::Image => "images",
        Charge::Call => "generations",
        Charge::Second => "compute seconds",
    };
    Model { id, required, shape, charge, unit, price, latency }
}

#[cfg(test)]
mod tests {
    use super::{MODELS, app_of, find};

    #[test]
    fn every_listed_model_is_found_with_its_price() {
        for model in &MODELS {
            assert_eq!(find(model.id).map(|found| found.id), Some(model.id));
            assert!(model.price() > rust_decimal::Decimal::ZERO);
        }
    }

    #[test]
    fn foreign_owners_do_not_exist() {
        for id in ["unknown/model", "fal-ai", "fal-ai/", "workflows/someone", "fal-ai//flux", ""] {
            assert!(find(id).is_none(), "{id}");
        }
        for id in ["fal-ai/anything", "workflows/someone/thing", "comfy/someone/thing/deep"] {
            assert!(find(id).is_some(), "{id}");
        }
    }

    #[test]
    fn the_app_is_the_first_two_segments_after_a_namespace() {
        assert_eq!(app_of("fal-ai/bria/product-shot"), "fal-ai/bria");
        assert_eq!(app_of("fal-ai/iclight-v2"), "fal-ai/iclight-v2");
        assert_eq!(app_of("workflows/owner/alias/path"), "workflows/owner/alias");
    }
}
