//! Lists of the API: one page, or all of them.

use super::{
    client::{self, Call, Client},
    output::{self, Format},
};
use anyhow::Result;
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The largest page that a server gives.
const LIMIT_MAX: u32 = 200;

/// Which part of a list is wanted.
#[derive(Clone, Debug, Args)]
pub(crate) struct PageArgs {
    /// Items of a page, 1 to 200 [default: 50]
    #[arg(long)]
    limit: Option<u32>,
    /// Where to go on: the `next_cursor` of an earlier page
    #[arg(long)]
    cursor: Option<String>,
    /// Every page from there on
    #[arg(long)]
    all: bool,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// How the items of a list look in a table.
pub(crate) struct Columns<'a> {
    pub(crate) heading: &'a [&'a str],
    pub(crate) row: fn(&RawValue) -> Result<Vec<String>>,
}

/// Prints what `call` lists. With `--all`, lines of JSON are written page by page.
pub(crate) async fn print(
    client: &Client,
    call: Call,
    args: &PageArgs,
    format: Format,
    columns: &Columns<'_>,
) -> Result<()> {
    let limit = args.limit.or(args.all.then_some(LIMIT_MAX));
    let call = call.query("limit", limit);
    let (mut items, mut cursor) = (Vec::new(), args.cursor.clone());
    loop {
        let body = client.send(&call.clone().query("cursor", cursor.as_deref())).await?;
        let page: Page = client::read(&body)?;
        items.extend(page.items);
        cursor = page.next_cursor;
        let ends = cursor.is_none() || !args.all;
        if ends || format == Format::Jsonl {
            let rows = if format == Format::Table {
                items.iter().map(|item| (columns.row)(item)).collect::<Result<_>>()?
            } else {
                Vec::new()
            };
            let is_read = output::try_print(&output::many(format, &items, cursor.as_deref(), columns.heading, rows)?);
            items.clear();
            if !is_read {
                return Ok(());
            }
        }
        if ends {
            break;
        }
    }
    if let (Some(cursor), Format::Table | Format::Jsonl) = (cursor, format) {
        eprintln!("there is more: --cursor {cursor}, or --all");
    }
    Ok(())
}
