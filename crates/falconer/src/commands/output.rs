//! What a command prints: tables for people, JSON for programs. Text of strangers reaches a terminal only escaped.

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{json, value::RawValue};
use std::io::{IsTerminal, Write};

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    // One document, as the API answers it. No doc comment: the help would tell it below every command.
    Json,
    // One document for each item and line.
    Jsonl,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputArgs {
    /// How to write the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// Writes an answer to standard output. A reader who has gone away is no error.
pub(crate) fn print(text: &str) {
    print_exact(text.as_bytes());
}

/// Writes bytes as they are. Only a person gets a line's end that they do not have.
pub(crate) fn print_result(bytes: &[u8]) {
    print_exact(bytes);
    if !bytes.ends_with(b"\n") && std::io::stdout().is_terminal() {
        print_exact(b"\n");
    }
}

/// Writes an answer of which more is to come, and tells whether anybody reads it.
pub(crate) fn try_print(text: &str) -> bool {
    write(text.as_bytes()).is_ok()
}

fn print_exact(bytes: &[u8]) {
    let written = write(bytes);
    drop(written);
}

fn write(bytes: &[u8]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

/// Writes one thing: its JSON byte for byte, or the rows of a table without a heading.
pub(crate) fn one(format: Format, raw: &str, rows: &[(&str, String)]) -> String {
    match format {
        Format::Table => {
            let mut table = table();
            for (name, value) in rows {
                table.add_row([*name, &clean(value)]);
            }
            trimmed(table)
        }
        Format::Json | Format::Jsonl => format!("{}\n", raw.trim_end()),
    }
}

/// Writes many things. `page` makes the one document out of their JSON.
pub(crate) fn many(
    format: Format,
    items: &[Box<RawValue>],
    next_cursor: Option<&str>,
    heading: &[&str],
    rows: Vec<Vec<String>>,
) -> Result<String> {
    Ok(match format {
        Format::Table if rows.is_empty() => String::new(),
        Format::Table => {
            let mut table = table();
            table.set_header(heading);
            for row in rows {
                table.add_row(row.iter().map(|cell| clean(cell)));
            }
            trimmed(table)
        }
        Format::Json => {
            let page = json_page(items, next_cursor).context("failed to write the list")?;
            format!("{page}\n")
        }
        Format::Jsonl => lines(items.iter().map(|item| item.get())),
    })
}

/// A time to the second, in UTC.
pub(crate) fn second(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Puts each on a line of its own.
pub(crate) fn lines(each: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    each.into_iter().fold(String::new(), |mut text, line| {
        text.push_str(line.as_ref());
        text.push('\n');
        text
    })
}

/// Escapes what could steer a terminal, and puts all on one line.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { char.escape_default().to_string() } else { char.to_string() })
        .collect()
}

fn json_page(items: &[Box<RawValue>], next_cursor: Option<&str>) -> serde_json::Result<String> {
    // The items are written by hand, since a detour over `Value` would round large numbers.
    let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
    let cursor = serde_json::to_string(&json!(next_cursor))?;
    Ok(format!("{{\"items\":[{}],\"next_cursor\":{cursor}}}", items.join(",")))
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// The table with blanks only between its columns.
fn trimmed(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    lines(table.lines().map(|line| line.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn numbers_pass_through_every_json_format_unrounded() {
        let items = [raw(r#"{"seed":17454220438242315174,"x":1.10}"#), raw("{}")];
        let json = many(Format::Json, &items, Some("c"), &[], vec![]).unwrap();
        assert_eq!(json, "{\"items\":[{\"seed\":17454220438242315174,\"x\":1.10},{}],\"next_cursor\":\"c\"}\n");
        let lines = many(Format::Jsonl, &items, None, &[], vec![]).unwrap();
        assert_eq!(lines, "{\"seed\":17454220438242315174,\"x\":1.10}\n{}\n");
        assert_eq!(one(Format::Json, "{\"a\":1.0}", &[]), "{\"a\":1.0}\n");
    }

    #[test]
    fn a_table_has_a_heading_and_one_line_for_each_thing() {
        let rows = vec![vec!["1".to_owned(), "up".to_owned()], vec!["2".to_owned(), "down\nand out".to_owned()]];
        let text = many(Format::Table, &[], None, &["ID", "STATE"], rows).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("ID") && lines[2].ends_with("down\\nand out"), "{text}");
    }

    #[test]
    fn a_strangers_text_cannot_steer_the_terminal() {
        let text = one(Format::Table, "", &[("message", "\u{1b}[2Jgone\u{9b}31m".to_owned())]);
        assert!(!text.chars().any(|char| char.is_control() && char != '\n'), "{text:?}");
    }
}
