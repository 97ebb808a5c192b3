//! Makes bodies that break a rule of JSON, of HTTP or of their schema, from one that breaks none.

use super::super::document::Body;
use serde_json::{Value, json};

/// Bytes of a body, and of a batch that is an array.
const LARGEST: usize = 1024 * 1024;
const LARGEST_LIST: usize = 32 * LARGEST;

/// A body that must be refused.
pub(super) struct Broken {
    pub(super) what: String,
    pub(super) bytes: Vec<u8>,
    pub(super) headers: Vec<(&'static str, &'static str)>,
}

/// All of them.
pub(super) fn broken(body: &Body) -> Vec<Broken> {
    let mut all = texts(body);
    all.extend(kinds(body));
    all.extend(members(body));
    all
}

/// Broken as JSON.
fn texts(body: &Body) -> Vec<Broken> {
    let good = body.example.to_string();
    let end = good.len();
    let largest = if body.schema["type"] == "array" { LARGEST_LIST } else { LARGEST };
    let mut all = vec![
        of("half of it", &good[..end / 2]),
        of("its last byte missing", &good[..end - 1]),
        of("a letter after it", format!("{good}x")),
        of("itself after it", format!("{good}{good}")),
        of("a comma after it", format!("{good},")),
        of("a byte order mark", format!("\u{feff}{good}")),
        of("a NUL before it", format!("\0{good}")),
        of("a NUL after it", format!("{good}\0")),
        of("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()),
        of("single quotes", good.replace('"', "'")),
        of("a comment", format!("/* owl */{good}")),
        of("a number without end", "9".repeat(100_000)),
        of("too large a number", "1e400"),
        of("no JSON", "NaN"),
        of("null", "null"),
        of("a string", "\"owl\""),
        of("zeroes", vec![0; 64]),
        of("0xff", vec![0xff; 64]),
        of("one byte too many", format!("{good}{}", " ".repeat(largest - end + 1))),
    ];
    for depth in [100, 100_000] {
        all.push(of(&format!("{depth} lists"), format!("{}{}", "[".repeat(depth), "]".repeat(depth))));
        all.push(of(&format!("{depth} lists without end"), "[".repeat(depth)));
        all.push(of(&format!("{depth} objects"), format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))));
        all.push(of(&format!("{depth} objects without end"), r#"{"a":"#.repeat(depth)));
    }
    if body.required {
        all.push(of("nothing", ""));
        all.push(of("white space", " \n\t"));
    }
    // Inside the first string, which is a name.
    let quote = good.find('"').expect("an example has a member") + 1;
    for (what, bytes) in
        [("bad UTF-8", &[0xff][..]), ("half a character", &[0xe2, 0x82]), ("a control character", &[7])]
    {
        let bytes = [&good.as_bytes()[..quote], bytes, &good.as_bytes()[quote..]].concat();
        all.push(of(&format!("{what} in a name"), bytes));
    }
    all
}

/// Said to be something else.
fn kinds(body: &Body) -> Vec<Broken> {
    let kinds =
        ["text/plain", "application/xml", "application/x-www-form-urlencoded", "application/json; charset=latin1", ""];
    let good = body.example.to_string();
    let by_kind = kinds.map(|kind| with_header(&good, "content-type", kind));
    let by_coding = ["gzip", "br", "owl"].map(|coding| with_header(&good, "content-encoding", coding));
    by_kind.into_iter().chain(by_coding).collect()
}

/// Broken as an object of its schema. Of a list the items are.
fn members(body: &Body) -> Vec<Broken> {
    let is_list = body.schema["type"] == "array";
    let (schema, example) =
        if is_list { (&body.schema["items"], &body.example[0]) } else { (&body.schema, &body.example) };
    let mut all = objects(schema, example);
    if is_list {
        for broken in &mut all {
            broken.bytes = [b"[", &broken.bytes[..], b"]"].concat();
        }
    }
    all
}

fn objects(schema: &Value, example: &Value) -> Vec<Broken> {
    let mut all = Vec::new();
    for name in ["zz_unknown", "", "'; drop table jobs; --", "\u{7}"] {
        all.push(of(&format!("an unknown member {name:?}"), with(example, name, "1")));
    }
    for (name, member) in schema["properties"].as_object().expect("a body of members") {
        for bad in values(member) {
            let shown: String = bad.chars().take(40).collect();
            all.push(of(&format!("`{name}` as {shown}"), with(example, name, &bad)));
        }
        if member["type"] == "string" {
            let value = [&br#"""#[..], &[0xff], br#"""#].concat();
            all.push(of(&format!("`{name}` as bad UTF-8"), with_bytes(example, name, &value)));
        }
        let value = if example[name].is_null() { sample(member) } else { example[name].clone() };
        let twice = format!("{},{}:{value}}}", without_end(example, name, &value), json!(name));
        all.push(of(&format!("`{name}` twice"), twice));
        for inner in member["properties"].as_object().into_iter().flatten().map(|(inner, _)| inner) {
            let nested = sample(member);
            let nested_twice =
                format!("{},{}:{}}}", without_end(&nested, inner, &nested[inner]), json!(inner), nested[inner]);
            all.push(of(&format!("`{name}.{inner}` twice"), with(example, name, &nested_twice)));
            let unknown = with(&nested, "zz_unknown", "1");
            all.push(of(&format!("an unknown member of `{name}`"), with(example, name, &unknown)));
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let mut rest = example.clone();
        rest.as_object_mut().expect("an object").remove(name);
        all.push(of(&format!("no `{name}`"), rest.to_string()));
    }
    all
}

/// Values that a member must not have.
fn values(member: &Value) -> Vec<String> {
    let plain = ["null", "true", "7", "1e400", "\"\\u0000\"", "\"\\ud800\"", "\"\\ud83d\\ud83d\"", "[]", "{}"];
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deep_object = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let mut bad: Vec<String> = plain.map(str::to_owned).to_vec();
    bad.extend([
        deep(100),
        deep(100_000),
        deep_object(200),
        deep_object(100_000),
        format!("\"{}\"", "x".repeat(300_000)),
    ]);
    let types: Vec<&str> = match &member["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    assert!(!types.is_empty(), "a member without a type: {member}");
    let fits = |value: &str| {
        types.iter().any(|name| match *name {
            "integer" | "number" => value == "7",
            "boolean" => value == "true",
            "null" => value == "null",
            "array" => value == "[]",
            // Closed objects have members without which they are none.
            "object" => value == "{}" && member["additionalProperties"] != json!(false),
            _ => false,
        })
    };
    bad.retain(|value| !fits(value));
    bad
}

/// A value that fits, for members that the example lacks.
fn sample(member: &Value) -> Value {
    if let Some(members) = member["properties"].as_object() {
        return members.iter().map(|(name, inner)| (name.clone(), sample(inner))).collect();
    }
    let given = [&member["example"], &member["default"], &member["enum"][0]].into_iter().find(|given| !given.is_null());
    let by_type = || match member["type"].as_str() {
        Some("integer") => json!(1),
        Some("object") => json!({}),
        Some("array") => json!([]),
        Some("boolean") => json!(true),
        _ if member["format"] == "date-time" => json!("2030-01-01T00:00:00Z"),
        _ => json!("owl"),
    };
    given.cloned().unwrap_or_else(by_type)
}

/// The object with a member of that text, in the place of its own where it has one.
fn with(object: &Value, name: &str, value: &str) -> String {
    String::from_utf8(with_bytes(object, name, value.as_bytes())).expect("text")
}

fn with_bytes(object: &Value, name: &str, value: &[u8]) -> Vec<u8> {
    let mut rest = object.clone();
    rest.as_object_mut().expect("an object").remove(name);
    let rest = rest.to_string();
    let comma = if rest == "{}" { "" } else { "," };
    let open = &rest[..rest.len() - 1];
    [open.as_bytes(), comma.as_bytes(), json!(name).to_string().as_bytes(), b":", value, b"}"].concat()
}

/// The object with that member, without its last brace.
fn without_end(object: &Value, name: &str, value: &Value) -> String {
    let whole = with(object, name, &value.to_string());
    whole[..whole.len() - 1].to_owned()
}

fn of(what: &str, bytes: impl Into<Vec<u8>>) -> Broken {
    Broken { what: what.to_owned(), bytes: bytes.into(), headers: Vec::new() }
}

fn with_header(good: &str, name: &'static str, value: &'static str) -> Broken {
    Broken { what: format!("{name} {value:?}"), bytes: good.into(), headers: vec![(name, value)] }
}
