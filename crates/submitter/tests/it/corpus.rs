//! Requests by hand: good ones, bad ones, and those at every edge.

use crate::requests::Asked;
use chrono::DateTime;
use std::time::Duration;

/// One thing is odd in each of them.
pub(crate) fn by_hand() -> Vec<Asked> {
    let good = Asked::good();
    let mut all = vec![Asked::default(), good.clone(), Asked { model: None, ..good.clone() }];
    all.push(Asked { input: None, ..good.clone() });
    all.extend(models().map(|model| Asked { model: Some(model), ..good.clone() }));
    for model in ["fal-ai/flux/dev", "fal-ai/flux/schnell", "fal-ai/pro", "fal-ai/video", "fal-ai/dear", "fal-ai/euro"]
    {
        all.extend(inputs().map(|input| Asked { model: Some(model.into()), input: Some(input), ..good.clone() }));
    }
    all.extend(metadata().map(|metadata| Asked { metadata: Some(metadata), ..good.clone() }));
    all.extend(tags().map(|tags| Asked { tags: Some(tags), ..good.clone() }));
    let numbers = [-11, -10, -1, 0, 1, 2, 10, 11, 99, 100, 101, 300, 70_000, -70_000, i64::MAX, i64::MIN];
    all.extend(numbers.map(|level| Asked { priority: Some(level), ..good.clone() }));
    all.extend(numbers.map(|attempts| Asked { max_attempts: Some(attempts), ..good.clone() }));
    for text in ["patient", "impatient", "operator", "Patient", "", "patient "] {
        all.push(Asked { on_unknown: Some(text.into()), ..good.clone() });
    }
    for seconds in [
        -62_135_596_800,
        0,
        946_684_799,
        946_684_800,
        1_700_000_000,
        1_800_000_000,
        4_102_444_799,
        4_102_444_800,
        9_000_000_000,
    ] {
        for nanos in [0, 1_000, 999_999_000] {
            let time = DateTime::from_timestamp(seconds, nanos);
            all.push(Asked { run_at: time, ..good.clone() });
            all.push(Asked { useful_until: time, ..good.clone() });
        }
    }
    let key = |key: &str| key.to_owned();
    let (long, longest) = ("ü".repeat(256), "ü".repeat(255));
    for name in ["", "k", "\u{1}", "a\u{7f}", "a\u{85}b", "a\u{a0}b", "\u{202e}", &long, &longest] {
        all.push(Asked { unique: Some((key(name), Duration::from_mins(10))), ..good.clone() });
    }
    for millis in [0, 1, 1_500, 600_000, 2_592_000_000, 2_592_000_001, 9_999_999_999] {
        all.push(Asked { unique: Some((key("k"), Duration::from_millis(millis))), ..good.clone() });
    }
    all.push(Asked { key: Some(key("order 1")), unique: Some((key("k"), Duration::from_secs(5))), ..good });
    all
}

/// Names that fal uses, and the path injection corpus of fal's own tests.
fn models() -> impl Iterator<Item = String> {
    let names = [
        "fal-ai/flux/dev",
        "fal-ai/flux-pro/v1.1-ultra",
        "workflows/acme/shop/v2",
        "comfy/acme/flow",
        "123/alias",
        "a/b/c/d/e/f",
        "",
        "/",
        "fal-ai",
        "fal-ai/",
        "/fal-ai/flux",
        "fal-ai//flux",
        "a/b/c/d/e/f/g",
        "../fal-ai/flux",
        "fal-ai/../flux",
        "fal-ai/..",
        "fal-ai/.",
        "./fal-ai/flux",
        "fal-ai/a..b",
        "fal-ai/...",
        "fal-ai/.hidden",
        "fal-ai/-x",
        "fal-ai/_x",
        "fal-ai/flux?logs=1",
        "fal-ai/flux#x",
        "fal-ai/flux&a",
        "fal-ai/flux;a",
        "fal-ai/flux=a",
        "fal-ai/%2e%2e/flux",
        "fal-ai/flux%00",
        "//evil.example/flux",
        "https://evil.example/flux",
        "http:evil/flux",
        "evil.example:443/flux",
        "user@evil.example/flux",
        "fal-ai\\flux",
        "Fal-Ai/flux",
        "fal-ai/FLUX",
        "fal-ai/fl ux",
        " fal-ai/flux",
        "fal-ai/flux ",
        "fal-ai/flux\n",
        "fal-ai/flux\r\nhost: evil",
        "fal-ai/flux\0",
        "fal-ai/flüx",
        "fal-ai/fl\u{202e}ux",
        "fal-ai/*",
        "fal-ai/$x",
        "fal-ai/a+b",
        "fal-ai/a:b",
        "fal-ai/a@b",
        "fal-ai/a,b",
        "a.b/c.",
        "a-/b_",
    ];
    let lengths = [253, 254, 255].map(|length| format!("a/{}", "b".repeat(length)));
    names.map(str::to_owned).into_iter().chain(lengths)
}

fn inputs() -> impl Iterator<Item = String> {
    let texts = [
        "{}",
        " {} ",
        "\t\r\n{\"a\" : 1 }\n",
        "[]",
        "[{}]",
        "null",
        "1",
        "\"{}\"",
        "{",
        "{} {}",
        "",
        "{\"a\":01}",
        "{\"a\":1e1000000}",
        r#"{"seed":17454220438242315174,  "b" : 1e1000000}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"\u0073eed":2}"#,
        r#"{"x":{"seed":1}}"#,
        r#"{"seeds":1}"#,
        r#"{"a":"\u0000","seed":null}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"\ud83d\ude00":1}"#,
        r#"{"a":"\\u0000"}"#,
        r#"{"a":"ü\u{}"}"#,
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\u{7f}\u{85}\"}",
        r#"{"a":"\\","b":["\"{[",{}]}"#,
        r#"{"num_images":4}"#,
        r#"{"num_images":0}"#,
        r#"{"num_images":4.0}"#,
        r#"{"num_images":-1}"#,
        r#"{"num_images":-0}"#,
        r#"{"num_images":"4"}"#,
        r#"{"num_images":null,"num_results":3}"#,
        r#"{"num_images":2,"num_results":3}"#,
        r#"{"num_images":2,"num_results":"x"}"#,
        r#"{"num_images":4294967295}"#,
        r#"{"num_images":4294967296}"#,
        r#"{"num_images":1,"num_images":2}"#,
        r#"{"num_\u0069mages":5}"#,
        r#"{"image_size":"square_hd"}"#,
        r#"{"image_size":"square"}"#,
        r#"{"image_size":"landscape_16_9","num_images":2}"#,
        r#"{"image_size":"odd"}"#,
        r#"{"image_size":null}"#,
        r#"{"image_size":7}"#,
        r#"{"image_size":{}}"#,
        r#"{"image_size":[1025,1024]}"#,
        r#"{"image_size":[1,2,3]}"#,
        r#"{"image_size":{"width":1025,"height":1024,"x":"\u0000"}}"#,
        r#"{"image_size":{"width":1025.0,"height":1024}}"#,
        r#"{"image_size":{"width":0,"height":1024}}"#,
        r#"{"image_size":{"width":1,"width":2,"height":1024}}"#,
        r#"{"image_size":{"width":null,"height":1024}}"#,
        r#"{"image_size":{"width":18446744073709551615,"height":1}}"#,
        r#"{"image_size":{"width":18446744073709551615,"height":2}}"#,
        r#"{"num_images":4294967295,"image_size":{"width":4294967296,"height":4294967295}}"#,
    ];
    let nested = [62, 63, 64, 200].map(|levels| format!(r#"{{"x":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels)));
    let sized = [1024 * 1024 - 8, 1024 * 1024 - 7].map(|bytes| format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes)));
    let mixed = ["{\"x\":".repeat(65) + "1" + &"}".repeat(65), format!("{{\"x\":[{}]}}", "{},[],".repeat(99) + "{}")];
    texts.map(str::to_owned).into_iter().chain(nested).chain(sized).chain(mixed)
}

fn metadata() -> impl Iterator<Item = String> {
    let texts = [
        "{}",
        " { } ",
        "[]",
        "null",
        "1",
        "\"x\"",
        "{",
        r#"{"order": 7, "customer": {"id": "c-1"}}"#,
        r#"{"x":"\u0000"}"#,
        r#"{"\u0000":1}"#,
        r#"{"x":"\\u0000"}"#,
        r#"{"x":"\ud800"}"#,
        r#"{"x":"\ud83d\ude00ü"}"#,
        r#"{"x":1e999}"#,
        r#"{"x":[{"y":-1e999}]}"#,
        r#"{"x":1e308}"#,
        r#"{"x":18446744073709551615}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"x":1.5}"#,
        r#"{"x":-0}"#,
        r#"{"a": "b", "c": [1, 2, "d, e: f"]}"#,
    ];
    let nested = [125, 126, 127, 128].map(|levels| format!(r#"{{"x":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels)));
    let sized = [16_376, 16_377].map(|bytes| format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes)));
    let wide = [1_637, 1_638].map(|count| {
        let members: Vec<String> = (0..count).map(|number| format!(r#""k{number:04}":1"#)).collect();
        format!("{{{}}}", members.join(","))
    });
    texts.map(str::to_owned).into_iter().chain(nested).chain(sized).chain(wide)
}

fn tags() -> impl Iterator<Item = Vec<String>> {
    let list = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
    let (long, longest) = ("é".repeat(65), "é".repeat(64));
    [
        list(&[]),
        list(&["a"]),
        list(&["b", "a", "b"]),
        list(&["ü, \"{}\\"]),
        list(&[""]),
        list(&["NULL", "null"]),
        list(&[&long]),
        list(&[&longest]),
        list(&["a\tb"]),
        list(&["\u{7f}"]),
        list(&["\u{80}"]),
        list(&["\u{9f}"]),
        list(&["\u{a0}"]),
        list(&["\u{200b}\u{202e}"]),
        list(&["😀"]),
        list(&["x\0"]),
        list(&["e\u{301}"]),
        (0..20).map(|number| number.to_string()).collect(),
        (0..21).map(|number| number.to_string()).collect(),
    ]
    .into_iter()
}
