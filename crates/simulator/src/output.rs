//! Inputs checked and outputs made: what a model would say to an input, without the model.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Map, Number, Value, json};

use crate::catalogue::{Charge, Model, Shape};
use crate::picture::Picture;
use crate::size::{LANDSCAPE_4_3, size};

/// A request's input: a JSON object.
pub(crate) type Input = Map<String, Value>;

/// A finished output.
#[derive(Debug)]
pub(crate) struct Made {
    /// Compact JSON.
    pub(crate) body: String,
    pub(crate) pictures: Vec<Picture>,
    /// Billable units.
    pub(crate) units: Decimal,
    /// US dollars.
    pub(crate) cost: Decimal,
}

/// What decides an output besides the input.
#[derive(Debug)]
pub(crate) struct Making<'a> {
    /// Base of the pictures' URLs.
    pub(crate) media_url: &'a str,
    pub(crate) request_id: &'a str,
    /// Decides seed and pictures.
    pub(crate) hash: u64,
    pub(crate) run_seconds: f64,
    /// The least length of the body in bytes.
    pub(crate) pad_to: usize,
}

#[derive(Debug, Default, Serialize)]
struct Output<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<Vec<Image>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timings: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_nsfw_concepts: Option<Vec<bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    padding: Option<String>,
}

#[derive(Debug, Serialize)]
struct Image {
    url: String,
    content_type: &'static str,
    file_name: String,
    file_size: usize,
    width: u32,
    height: u32,
}

/// Checks an input as the model would; the error is the list for `detail`.
pub(crate) fn check(model: &Model, input: &Input) -> Result<(), Value> {
    for field in model.required {
        if input.get(*field).is_none_or(Value::is_null) {
            return Err(complaint(field, "Field required", "missing", &Value::Object(input.clone())));
        }
    }
    if let Some(prompt) = input.get("prompt").filter(|prompt| !prompt.is_string()) {
        return Err(complaint("prompt", "Input should be a valid string", "string_type", prompt));
    }
    if let Some(seed) = input.get("seed").filter(|seed| !(seed.is_null() || seed.is_u64() || seed.is_i64())) {
        return Err(complaint("seed", "Input should be a valid integer", "int_parsing", seed));
    }
    if let Some(count) = input.get("num_images").filter(|count| !count.is_null()) {
        match count.as_u64() {
            Some(1..=4) => {}
            Some(0) => {
                return Err(complaint("num_images", "Input should be at least 1", "greater_than_equal", count));
            }
            _ => {
                return Err(complaint("num_images", "Input should be at most 4", "less_than_equal", count));
            }
        }
    }
    match size(input) {
        Some(_) => Ok(()),
        None => Err(complaint("image_size", "Unknown image size", "one_of", &input["image_size"])),
    }
}

/// Makes the output of a checked input.
pub(crate) fn make(model: &Model, input: &Input, making: &Making<'_>) -> Made {
    let (width, height) = size(input).unwrap_or(LANDSCAPE_4_3);
    let count = input.get("num_images").or_else(|| input.get("num_results")).and_then(Value::as_u64).unwrap_or(1);
    let seed = match input.get("seed") {
        Some(Value::Number(seed)) => seed.clone(),
        _ => Number::from(making.hash),
    };
    let pictures: Vec<Picture> =
        (0..count.clamp(1, 10)).map(|n| Picture { width, height, hash: picture_hash(input, &seed, n) }).collect();
    let inline = input.get("sync_mode") == Some(&Value::Bool(true));
    let files = pictures.iter().enumerate().map(|(n, picture)| file(*picture, n, inline, making)).collect();
    let units = units(model, &pictures, making.run_seconds);
    let body = body(shaped(model, input, files, seed, making), making.pad_to);
    Made { body, pictures, units, cost: (units * model.price()).round_dp(8) }
}

/// Units as fal's header writes them: whole numbers plain, others with eight decimals.
pub(crate) fn units_text(units: Decimal) -> String {
    if units.is_integer() { units.trunc().to_string() } else { format!("{units:.8}") }
}

/// A `detail` list of one model error.
pub(crate) fn complaint(field: &str, message: &str, kind: &str, input: &Value) -> Value {
    json!([{
        "loc": ["body", field],
        "msg": message,
        "type": kind,
        "url": format!("https://docs.fal.ai/errors/#{kind}"),
        "input": input,
    }])
}

fn shaped<'a>(model: &Model, input: &'a Input, mut files: Vec<Image>, seed: Number, making: &Making<'_>) -> Output<'a> {
    let mut output = Output::default();
    match model.shape {
        Shape::Flux => {
            output.timings = Some(json!({ "inference": making.run_seconds }));
            output.seed = Some(seed);
            output.has_nsfw_concepts = Some(vec![false; files.len()]);
            output.prompt = Some(input.get("prompt").and_then(Value::as_str).unwrap_or_default());
            output.images = Some(files);
        }
        Shape::Single => output.image = Some(files.swap_remove(0)),
        Shape::Images => output.images = Some(files),
        Shape::ImagesSeed => (output.images, output.seed) = (Some(files), Some(seed)),
        Shape::ImagesDescription => {
            (output.images, output.description) = (Some(files), Some("a simulated picture"));
        }
    }
    output
}

fn body(mut output: Output<'_>, pad_to: usize) -> String {
    let write = |output: &Output<'_>| serde_json::to_string(output).expect("strings, numbers and lists can be written");
    let body = write(&output);
    if body.len() >= pad_to {
        return body;
    }
    output.padding = Some("-".repeat(pad_to - body.len()));
    write(&output)
}

fn file(picture: Picture, n: usize, inline: bool, making: &Making<'_>) -> Image {
    let url = if inline {
        format!("data:image/png;base64,{}", STANDARD.encode(picture.png()))
    } else {
        format!("{}/{}/{n}.png", making.media_url, making.request_id)
    };
    Image {
        url,
        content_type: "image/png",
        file_name: format!("{n}.png"),
        file_size: picture.file_size(),
        width: picture.width,
        height: picture.height,
    }
}

/// The same prompt and seed paint the same picture, as with the real models.
fn picture_hash(input: &Input, seed: &Number, n: u64) -> u64 {
    let prompt = input.get("prompt").and_then(Value::as_str).unwrap_or_default();
    let text = format!("{prompt}\n{seed}\n{n}");
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn units(model: &Model, pictures: &[Picture], run_seconds: f64) -> Decimal {
    let count = u64::try_from(pictures.len()).unwrap_or(u64::MAX);
    match model.charge {
        Charge::Megapixel => {
            // A square of 1024 by 1024 is billed as one, so the megapixel is the binary one.
            let one = |picture: &Picture| (u64::from(picture.width) * u64::from(picture.height)).div_ceil(1 << 20);
            Decimal::from(pictures.iter().map(one).sum::<u64>())
        }
        Charge::Image => Decimal::from(count),
        Charge::Call => Decimal::ONE,
        Charge::Second => Decimal::try_from(run_seconds).unwrap_or(Decimal::ONE).round_dp(8),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Input, Making, check, make, units_text};
    use crate::catalogue::find;

    fn input(value: Value) -> Input {
        serde_json::from_value(value).unwrap()
    }

    fn making() -> Making<'static> {
        Making { media_url: "http://x/media", request_id: "r", hash: u64::MAX - 1, run_seconds: 1.25, pad_to: 0 }
    }

    #[test]
    fn a_flux_output_has_all_its_keys_and_an_exact_large_seed() {
        let made = make(find("fal-ai/flux/dev").unwrap(), &input(json!({"prompt": "owl", "num_images": 2})), &making());
        let body: Value = serde_json::from_str(&made.body).unwrap();
        assert_eq!(body["seed"], u64::MAX - 1);
        assert_eq!(body["images"].as_array().unwrap().len(), 2);
        for key in ["timings", "has_nsfw_concepts", "prompt"] {
            assert!(!body[key].is_null(), "{key}");
        }
        assert_eq!((units_text(made.units), made.cost.to_string()), ("2".to_owned(), "0.050".to_owned()));
    }

    #[test]
    fn a_given_seed_is_echoed_and_repeats_the_picture() {
        let paint = |hash| {
            let making = Making { hash, ..making() };
            make(find("fal-ai/flux/dev").unwrap(), &input(json!({"prompt": "owl", "seed": 7})), &making).pictures
        };
        assert_eq!(paint(1), paint(2));
    }

    #[test]
    fn bad_inputs_are_named() {
        let model = find("fal-ai/flux/schnell").unwrap();
        for (given, kind) in [
            (json!({}), "missing"),
            (json!({"prompt": 1}), "string_type"),
            (json!({"prompt": "x", "seed": "7"}), "int_parsing"),
            (json!({"prompt": "x", "num_images": 5}), "less_than_equal"),
            (json!({"prompt": "x", "image_size": "huge"}), "one_of"),
            (json!({"prompt": "x", "image_size": {"width": 0, "height": 4}}), "one_of"),
        ] {
            assert_eq!(check(model, &input(given.clone())).unwrap_err()[0]["type"], kind, "{given}");
        }
    }

    #[test]
    fn padding_reaches_the_asked_length() {
        let making = Making { pad_to: 10_000, ..making() };
        let made = make(find("fal-ai/birefnet/v2").unwrap(), &input(json!({"image_url": "x"})), &making);
        assert!((10_000..10_100).contains(&made.body.len()));
        assert_eq!(units_text(made.units), "1.25000000");
    }
}
