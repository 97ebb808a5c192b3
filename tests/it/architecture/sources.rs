//! The files of the repository, as the rules look at them.

use std::{collections::BTreeSet, fs, path::Path};

/// A text file, by its path from the root of the repository.
#[derive(Clone)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

/// A `Cargo.toml`.
pub(super) struct Manifest(toml::Table);

/// Reads one file.
pub(super) fn file(path: &str) -> File {
    let text = fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    File { path: path.to_owned(), text }
}

/// Reads every file below `folder` whose name ends in `.extension`, in order of path. Folders of tools are left out.
pub(super) fn files(folder: &str, extension: &str) -> Vec<File> {
    let mut found = Vec::new();
    for entry in fs::read_dir(Path::new(ROOT).join(folder)).expect("the folder is there") {
        let entry = entry.expect("the folder can be read");
        let name = entry.file_name().into_string().expect("paths are UTF-8");
        let path = format!("{folder}/{name}");
        if entry.file_type().expect("the entry has a type").is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                found.extend(files(&path, extension));
            }
        } else if Path::new(&name).extension().is_some_and(|own| own == extension) {
            found.push(file(&path));
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The names of the folders of `crates/`.
pub(super) fn crates() -> BTreeSet<String> {
    let folders = fs::read_dir(Path::new(ROOT).join("crates")).expect("the folder is there");
    folders
        .map(|entry| entry.expect("the folder can be read"))
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| entry.file_name().into_string().expect("paths are UTF-8"))
        .collect()
}

/// Reads a `Cargo.toml`.
pub(super) fn manifest(path: &str) -> Manifest {
    Manifest(file(path).text.parse().unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// Whether a path from the root of the repository leads to something.
pub(super) fn exists(path: &str) -> bool {
    Path::new(ROOT).join(path).exists()
}

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

impl Manifest {
    /// The crates that a section imports, ours by the names of their folders. Optional ones are left out.
    pub(super) fn imports(&self, section: &str) -> Vec<String> {
        let platforms = self.0.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
        let tables = platforms.filter_map(toml::Value::as_table).chain([&self.0]);
        tables
            .filter_map(|table| table.get(section)?.as_table())
            .flatten()
            .filter(|(_, value)| value.get("optional").and_then(toml::Value::as_bool) != Some(true))
            .map(|(name, value)| {
                let package = value.get("package").and_then(toml::Value::as_str).unwrap_or(name);
                package.strip_prefix("falconer-").unwrap_or(package).to_owned()
            })
            .collect()
    }
}

impl File {
    /// Whether the whole file is there for tests.
    pub(super) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("tests.rs")
    }

    /// Every line of production code that holds one of `needles`, as `path:line: text`. Comments are left out, and a
    /// module of tests at the end.
    pub(super) fn production_lines_with(&self, needles: &[&str]) -> Vec<String> {
        let end = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let lines = self.text[..end].lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        lines
            .filter(|(_, line)| !line.starts_with("//") && !line.starts_with("--"))
            .filter(|(_, line)| needles.iter().any(|needle| line.contains(needle)))
            .map(|(number, line)| format!("{}:{number}: {line}", self.path))
            .collect()
    }
}
