//! What the pages say of the code, held against the code.

use super::sources::{File, exists, file, files};
use std::collections::BTreeSet;

#[test]
fn the_operations_page_names_every_metric_and_no_other() {
    let page = file("docs/operations.md");
    let told: BTreeSet<&str> = words(&page.text).filter(|word| word.starts_with("falconer_")).collect();

    let sources = production();
    let recorded: BTreeSet<&str> = sources.iter().flat_map(|source| metrics(&source.text)).collect();

    assert!(recorded.len() > 5, "the search finds metrics: {recorded:?}");
    assert_eq!(told, recorded, "left: docs/operations.md, right: the sources");
}

#[test]
fn the_operations_page_names_every_setting_and_no_other() {
    let default = file("crates/falconer/src/config/default.toml");
    let page = file("docs/operations.md");
    let settings = settings(&default.text);
    let sections: BTreeSet<&str> = settings.iter().filter_map(|key| Some(key.split_once('.')?.0)).collect();

    let told: BTreeSet<String> = quoted(&page.text)
        .filter(|text| text.split_once('.').is_some_and(|(section, key)| sections.contains(section) && is_key(key)))
        .map(str::to_owned)
        .collect();

    assert_eq!(told, settings, "left: docs/operations.md, right: default.toml");
}

#[test]
fn the_data_model_page_names_every_table_and_no_other() {
    let migrations = files("migrations", "sql");
    let mut made: BTreeSet<&str> = migrations
        .iter()
        .flat_map(|migration| migration.text.lines())
        .filter_map(|line| line.strip_prefix("create table falconer."))
        .filter_map(|rest| rest.split([' ', '(']).next())
        .collect();
    let renamed = migrations
        .iter()
        .flat_map(|migration| migration.text.lines())
        .filter_map(|line| line.strip_prefix("alter table falconer.")?.strip_suffix(';')?.split_once(" rename to "));
    for (from, to) in renamed {
        assert!(made.remove(from), "{from} is renamed and was not made");
        made.insert(to);
    }

    let page = file("docs/data-model.md");
    let told: BTreeSet<&str> =
        page.text.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();

    assert!(made.len() > 5, "the search finds tables: {made:?}");
    assert_eq!(told, made, "left: headings of docs/data-model.md, right: the migrations");
}

#[test]
fn links_between_pages_lead_somewhere() {
    let top = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(file);
    let pages = [files("docs", "md"), files("deploy", "md"), top.to_vec()].concat();

    let dead: Vec<String> = pages
        .iter()
        .flat_map(|page| targets(&page.text).map(move |target| (page, target)))
        .filter(|(page, target)| !leads_somewhere(page, target))
        .map(|(page, target)| format!("{}: {target}", page.path))
        .collect();

    assert_eq!(dead, [""; 0]);
}

fn production() -> Vec<File> {
    files("crates", "rs").into_iter().filter(|source| !source.is_test()).collect()
}

/// The names that `metrics`' macros are given: the first string after each of them.
fn metrics(text: &str) -> impl Iterator<Item = &str> {
    ["counter!(", "gauge!(", "histogram!("].into_iter().flat_map(move |call| {
        let calls = text.match_indices(call).map(move |(at, _)| &text[at + call.len()..]);
        calls.filter_map(|after| after.trim_start().strip_prefix('"')?.split('"').next())
    })
}

/// The keys of the default configuration, also those that are commented out, as `section.key`.
fn settings(toml: &str) -> BTreeSet<String> {
    let mut section = "";
    let mut keys = BTreeSet::new();
    for line in toml.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ")
            && is_key(key)
        {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_ascii_lowercase() || char == '_')
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Where the links of a page go, without those that leave the repository.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.filter(|target| !target.contains("://") && !target.starts_with('#') && !target.is_empty())
}

fn leads_somewhere(page: &File, target: &str) -> bool {
    let path = target.split('#').next().unwrap_or_default();
    let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    exists(format!("{folder}/{path}").trim_start_matches('/'))
}
