//! Picture sizes: fal's presets, sizes in pixels, and aspect ratios.

use serde_json::Value;

use crate::output::Input;

/// The models' default, in pixels.
pub(crate) const LANDSCAPE_4_3: (u32, u32) = (1024, 768);

/// The size in pixels that an input asks for, or none when it names no size that exists.
pub(crate) fn size(input: &Input) -> Option<(u32, u32)> {
    match input.get("image_size") {
        Some(Value::String(name)) => preset(name),
        Some(Value::Object(size)) => {
            let pixels = |name| size.get(name).and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok());
            let (width, height) = (pixels("width")?, pixels("height")?);
            ((1..=14_142).contains(&width) && (1..=14_142).contains(&height)).then_some((width, height))
        }
        None | Some(Value::Null) => match input.get("aspect_ratio").and_then(Value::as_str) {
            Some(ratio) => Some(by_ratio(ratio)),
            None => Some(LANDSCAPE_4_3),
        },
        Some(_) => None,
    }
}

fn preset(name: &str) -> Option<(u32, u32)> {
    Some(match name {
        "square_hd" => (1024, 1024),
        "square" => (512, 512),
        "portrait_4_3" => (768, 1024),
        "portrait_16_9" => (576, 1024),
        "landscape_4_3" => LANDSCAPE_4_3,
        "landscape_16_9" => (1024, 576),
        _ => return None,
    })
}

/// Sizes of about one megapixel; a ratio that is none gives a square, since the models take any text here.
fn by_ratio(ratio: &str) -> (u32, u32) {
    let sides = ratio.split_once(':').and_then(|(w, h)| Some((w.parse::<u32>().ok()?, h.parse::<u32>().ok()?)));
    match sides {
        Some((w, h)) if (1..=64).contains(&w) && (1..=64).contains(&h) && w >= h => (1024, 1024 * h / w),
        Some((w, h)) if (1..=64).contains(&w) && (1..=64).contains(&h) => (1024 * w / h, 1024),
        _ => (1024, 1024),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::size;

    #[test]
    fn sizes_are_named_counted_or_proportioned() {
        for (input, expected) in [
            (json!({}), Some((1024, 768))),
            (json!({"image_size": "square_hd"}), Some((1024, 1024))),
            (json!({"image_size": {"width": 14_142, "height": 1}}), Some((14_142, 1))),
            (json!({"image_size": {"width": 14_143, "height": 1}}), None),
            (json!({"image_size": 7}), None),
            (json!({"aspect_ratio": "16:9"}), Some((1024, 576))),
            (json!({"aspect_ratio": "9:16"}), Some((576, 1024))),
            (json!({"aspect_ratio": "auto"}), Some((1024, 1024))),
        ] {
            assert_eq!(size(input.as_object().unwrap()), expected, "{input}");
        }
    }
}
