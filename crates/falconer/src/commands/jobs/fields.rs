//! The fields of a job, from flags to the body of a request. Values reach the server byte for byte; it judges them.

use crate::commands::exit::Refusal;
use anyhow::{Context, Result};
use clap::{Args, builder::PossibleValuesParser};
use serde_json::{Map, json, value::RawValue};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// A field's name and its value as JSON.
pub(crate) type Flag = (&'static str, String);

/// What a job may be given, but for its model.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct JobFields {
    /// What the model takes, a JSON object
    #[arg(long, value_name = "JSON", conflicts_with = "input_file")]
    input: Option<String>,
    /// The same from a file, or from standard input as `-`
    #[arg(long, value_name = "FILE")]
    input_file: Option<PathBuf>,
    /// From -10 to 10; higher goes first
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i64>,
    /// A word to find it by; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// More to find it by: KEY=VALUE, which may be repeated, or one JSON object
    #[arg(long, value_name = "KEY=VALUE")]
    metadata: Vec<String>,
    /// Not before this time, in RFC 3339
    #[arg(long, value_name = "TIME")]
    run_at: Option<String>,
    /// Of no use after this time, in RFC 3339; canceled if it has not begun by then
    #[arg(long, value_name = "TIME")]
    useful_until: Option<String>,
    /// How often it may be paid for and tried
    #[arg(long, value_name = "COUNT")]
    max_attempts: Option<i64>,
    /// What to do when nobody knows whether fal took it
    #[arg(long, value_name = "POLICY", value_parser = PossibleValuesParser::new(["patient", "impatient", "operator"]))]
    on_unknown: Option<String>,
    /// At most one job of this key within `--unique-for`
    #[arg(long, value_name = "KEY", requires = "unique_for")]
    unique: Option<String>,
    /// How long `--unique` holds, such as `10m`
    #[arg(long, value_name = "DURATION", requires = "unique")]
    unique_for: Option<String>,
}

impl JobFields {
    pub(crate) fn has_input(&self) -> bool {
        self.input.is_some() || self.input_file.is_some()
    }

    /// Writes the body of a request: `first`, then what the flags say.
    pub(crate) fn body(&self, first: &[(&str, Option<String>)]) -> Result<String> {
        let first = first.iter().filter_map(|(name, value)| Some((*name, value.clone()?)));
        let members = first.chain(self.flags()?).map(|(name, value)| format!("\"{name}\":{value}"));
        Ok(format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
    }

    /// What the flags say.
    pub(crate) fn flags(&self) -> Result<Vec<Flag>> {
        let text = |value: &Option<String>| value.as_ref().map(|value| json!(value).to_string());
        let number = |value: Option<i64>| value.map(|value| value.to_string());
        let unique = self.unique.as_ref().map(|key| json!({"key": key, "for": self.unique_for}).to_string());
        let own = [
            ("input", self.input()?),
            ("priority", number(self.priority)),
            ("tags", (!self.tags.is_empty()).then(|| json!(self.tags).to_string())),
            ("metadata", metadata(&self.metadata)?),
            ("run_at", text(&self.run_at)),
            ("useful_until", text(&self.useful_until)),
            ("max_attempts", number(self.max_attempts)),
            ("on_unknown", text(&self.on_unknown)),
            ("unique", unique),
        ];
        Ok(own.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }

    fn input(&self) -> Result<Option<String>> {
        let (flag, text) = match (&self.input, &self.input_file) {
            (Some(text), _) => ("--input", text.clone()),
            (None, Some(path)) => ("--input-file", read(path)?),
            (None, None) => return Ok(None),
        };
        checked(flag, text).map(Some)
    }
}

pub(crate) fn metadata(given: &[String]) -> Result<Option<String>> {
    const RULE: &str = "must be KEY=VALUE, or one JSON object";
    match given {
        [] => Ok(None),
        [object] if object.trim_start().starts_with('{') => checked("--metadata", object.clone()).map(Some),
        pairs => {
            let mut members = Map::new();
            for pair in pairs {
                let (key, value) = pair.split_once('=').ok_or_else(|| Refusal::usage("--metadata", RULE))?;
                members.insert(key.to_owned(), json!(value));
            }
            Ok(Some(json!(members).to_string()))
        }
    }
}

/// Lets only JSON through, since it becomes a part of a larger text.
fn checked(flag: &str, text: String) -> Result<String> {
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Refusal::usage(flag, format!("is not JSON: {error}")).into()),
    }
}

fn read(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("failed to read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::exit::Exit;

    #[test]
    fn what_the_flags_say_is_what_is_sent() {
        let fields = JobFields {
            input: Some(r#"{"seed":17454220438242315174,"x":1.10}"#.to_owned()),
            priority: Some(-3),
            tags: vec!["a".to_owned(), "b \"c\"".to_owned()],
            metadata: vec!["order=7".to_owned(), "who=me=you".to_owned()],
            unique: Some("k".to_owned()),
            unique_for: Some("10m".to_owned()),
            ..JobFields::default()
        };
        let body = fields.body(&[("model", Some("\"m\"".to_owned())), ("max_cost", None)]).unwrap();
        assert_eq!(
            body,
            concat!(
                r#"{"model":"m","input":{"seed":17454220438242315174,"x":1.10},"priority":-3,"tags":["a","b \"c\""],"#,
                r#""metadata":{"order":"7","who":"me=you"},"unique":{"for":"10m","key":"k"}}"#
            )
        );
        assert_eq!(JobFields::default().body(&[]).unwrap(), "{}");
    }

    #[test]
    fn a_metadata_object_is_sent_as_it_is() {
        assert_eq!(metadata(&["{\"n\": 1.0}".to_owned()]).unwrap().unwrap(), "{\"n\": 1.0}");
    }

    #[test]
    fn what_is_not_json_is_wrong_usage() {
        for fields in [
            JobFields { input: Some("{} , \"model\":1".to_owned()), ..JobFields::default() },
            JobFields { metadata: vec!["{".to_owned()], ..JobFields::default() },
            JobFields { metadata: vec!["novalue".to_owned()], ..JobFields::default() },
        ] {
            let refusal: Refusal = fields.body(&[]).unwrap_err().downcast().unwrap();
            assert_eq!(refusal.exit, Exit::Usage, "{refusal}");
        }
    }
}
