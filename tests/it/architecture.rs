//! What must hold of the sources themselves: who may import whom, where SQL may stand, and that the pages tell the truth.
//!
//! The rules are explained in docs/architecture.md. What the compiler or clippy already refuses is not repeated here.

mod habits;
mod pages;
mod sources;

use sources::{File, files, manifest};
use std::collections::BTreeSet;

/// Every crate, and which of ours it may import. Imports point down only; nothing but the binary and tests may import
/// what is for development.
const EDGES: [(&str, &[&str]); 15] = [
    ("failpoints", &[]),
    ("domain", &[]),
    ("models", &["domain"]),
    ("fal", &["domain", "failpoints"]),
    ("store", &["domain", "failpoints"]),
    ("accounts", &["domain", "fal", "store"]),
    ("submitter", &["accounts", "domain", "failpoints", "fal", "store"]),
    ("receiver", &["domain", "failpoints", "fal", "store"]),
    ("reconciler", &["accounts", "domain", "failpoints", "fal", "store"]),
    ("api", &["accounts", "domain", "failpoints", "fal", "receiver", "store", "submitter"]),
    ("simulator", &[]),
    ("dev-postgres", &[]),
    ("hostile", &["api", "domain", "fal"]),
    ("testkit", &["dev-postgres", "domain", "failpoints", "simulator", "store"]),
    (
        "falconer",
        &[
            "accounts",
            "api",
            "dev-postgres",
            "domain",
            "failpoints",
            "fal",
            "receiver",
            "reconciler",
            "simulator",
            "store",
            "submitter",
        ],
    ),
];

/// What the tests of a crate may import beside.
const FOR_TESTS: [&str; 3] = ["dev-postgres", "simulator", "testkit"];

/// Crates of others that would break what a crate of ours is for.
const KEPT_OUT: [(&str, &[&str]); 7] = [
    // No runtime and no I/O.
    ("domain", &["axum", "hyper", "hyper-util", "reqwest", "sqlx", "tokio", "tokio-util"]),
    // fal's protocol knows no database.
    ("fal", &["apalis", "apalis-core", "axum", "sqlx"]),
    // Whoever opens transactions can reach no peer but Postgres, so none is awaited inside one.
    ("store", &["axum", "hyper", "hyper-util", "reqwest"]),
    // Roles ask the store.
    ("receiver", &["reqwest", "sqlx"]),
    ("reconciler", &["reqwest", "sqlx"]),
    ("api", &["reqwest", "sqlx"]),
    // A stranger is no part of us.
    ("simulator", &["sqlx"]),
];

/// How a statement or a transaction begins.
const SQL: [&str; 9] = [
    "sqlx::query",
    "sqlx::raw_sql",
    "query!(",
    "query_as!(",
    "query_scalar!(",
    "query_file!(",
    "query_file_as!(",
    ".begin()",
    ".begin_with(",
];

/// The only files that change a row of a job or an attempt which is there: the claim, settling, and the looks, which move
/// nothing but the time of the next one.
const WRITERS: [&str; 3] =
    ["crates/store/src/claim.sql", "crates/store/src/looks.rs", "crates/store/src/settle/write/rows.sql"];

#[test]
fn crates_import_only_what_lies_below_them() {
    let there: BTreeSet<String> = sources::crates();
    let known: BTreeSet<String> = EDGES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(there, known, "every folder of crates/ has its line in EDGES");

    let mut broken = Vec::new();
    for (name, allowed) in EDGES {
        let manifest = manifest(&format!("crates/{name}/Cargo.toml"));
        let ours = |section: &str| manifest.imports(section).into_iter().filter(|import| there.contains(import));
        broken.extend(ours("dependencies").filter(|import| !allowed.contains(&import.as_str())).map(|i| (name, i)));
        let allowed_in_tests = |import: &String| allowed.contains(&import.as_str()) || is_for_tests(import);
        broken.extend(ours("dev-dependencies").filter(|import| !allowed_in_tests(import)).map(|i| (name, i)));
    }

    assert_eq!(broken, [], "(crate, what it may not import)");
}

#[test]
fn crates_stay_free_of_what_would_break_them() {
    let mut broken = Vec::new();
    for (name, kept_out) in KEPT_OUT {
        let manifest = manifest(&format!("crates/{name}/Cargo.toml"));
        let imports = manifest.imports("dependencies");
        broken.extend(imports.into_iter().filter(|import| kept_out.contains(&import.as_str())).map(|i| (name, i)));
    }

    assert_eq!(broken, [], "(crate, what must be kept out of it); an optional import of sqlx is not listed");
}

#[test]
fn statements_and_transactions_stand_only_in_the_store() {
    let exempt = ["crates/store/", "crates/dev-postgres/", "crates/testkit/"];
    let elsewhere = |file: &File| !file.is_test() && !exempt.iter().any(|place| file.path.starts_with(place));
    // The measurements play a backend that enqueues inside its own transaction.
    let is_caller = |line: &str| line.starts_with("crates/falconer/src/bench/") && line.contains(".begin()");

    let found: Vec<String> = files("crates", "rs")
        .iter()
        .filter(|file| elsewhere(file))
        .flat_map(|file| file.production_lines_with(&SQL))
        .filter(|line| !is_caller(line))
        .collect();

    assert_eq!(found, [""; 0]);
}

#[test]
fn jobs_and_attempts_are_changed_by_claim_settle_and_looks_alone() {
    let changes = ["update falconer.jobs", "update falconer.attempts", "delete from falconer.jobs"];

    let writers: BTreeSet<String> = [files("crates", "rs"), files("crates", "sql")]
        .concat()
        .iter()
        .filter(|file| !file.is_test() && !file.path.starts_with("crates/testkit/"))
        .filter(|file| !file.production_lines_with(&changes).is_empty())
        .map(|file| file.path.clone())
        .collect();

    assert_eq!(writers, WRITERS.map(str::to_owned).into());
}

#[test]
fn a_verified_callback_cannot_be_made_outside_the_receiver() {
    let file = sources::file("crates/receiver/src/verified.rs");
    let (_, after) = file.text.split_once("pub struct VerifiedCallback {").expect("the proof is a struct");
    let (fields, _) = after.split_once("\n}").expect("the struct has an end");

    let open: Vec<&str> = fields.lines().map(str::trim).filter(|line| line.starts_with("pub ")).collect();

    assert!(fields.contains("body: Bytes"), "{fields}");
    assert_eq!(open, [""; 0], "a public field lets anybody write the struct down");
}

fn is_for_tests(import: &str) -> bool {
    FOR_TESTS.contains(&import)
}
