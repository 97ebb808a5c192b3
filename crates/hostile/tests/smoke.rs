//! Every target on stable: first each seed of `fuzz/seeds/`, then bytes made from them for some seconds.
//!
//! `FALCONER_HOSTILE_SECONDS` says for how long, each target. A failure prints the smallest bytes that still fail; put
//! them into a new file of the target's folder of seeds, which is then tried for ever.

mod mutate;

use hostile::{TARGETS, Target};
use proptest::test_runner::{Config, TestError, TestRunner};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A minute over all targets.
const SECONDS: u64 = 8;

/// Cases between two looks at the clock.
const CASES: u32 = 64;

/// Fewer cases than this in the whole time mean that a target has become slow, and the run worth little.
const CASES_MIN: u32 = 2_000;

#[test]
fn callback_body() {
    try_target("callback_body");
}

#[test]
fn callback_token() {
    try_target("callback_token");
}

#[test]
fn callback_verify() {
    try_target("callback_verify");
}

#[test]
fn cursor() {
    try_target("cursor");
}

#[test]
fn endpoint_url() {
    try_target("endpoint_url");
}

#[test]
fn idempotency() {
    try_target("idempotency");
}

#[test]
fn jwks() {
    try_target("jwks");
}

#[test]
fn every_target_has_its_seeds_and_its_program() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names_in("seeds"), names);
    assert_eq!(names_in("fuzz_targets"), names);
    for (name, _) in TARGETS {
        assert!(seeds(name).len() >= 3, "{name}");
    }
}

#[expect(clippy::print_stdout, reason = "how much was tried is for whoever reads the run")]
fn try_target(name: &str) {
    let (_, target) = TARGETS.iter().find(|(own, _)| *own == name).expect("the target is listed");
    let seeds = seeds(name);
    for seed in &seeds {
        target(seed);
    }
    let cases = make_bytes(name, *target, seeds);
    println!("{name}: {cases} cases");
    assert!(cases >= CASES_MIN || seconds() < SECONDS, "{name}: {cases} cases");
}

fn make_bytes(name: &str, target: Target, seeds: Vec<Vec<u8>>) -> u32 {
    let (began, time) = (Instant::now(), Duration::from_secs(seconds()));
    let strategy = mutate::from_seeds(seeds);
    // A failure is kept as a seed, by hand and with a name, and not in a file of random numbers.
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut cases = 0;
    while began.elapsed() < time {
        // A runner remembers what it has done, and would do nothing the second time.
        let outcome = TestRunner::new(config.clone()).run(&strategy, |bytes| {
            target(&bytes.0);
            Ok(())
        });
        match outcome {
            Ok(()) => cases += CASES,
            Err(TestError::Fail(why, bytes)) => panic!("{name} fails on {bytes:?}: {why}"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
    cases
}

#[expect(clippy::disallowed_methods, reason = "how long a search goes on is the caller's choice, not a setting")]
fn seconds() -> u64 {
    std::env::var("FALCONER_HOSTILE_SECONDS").map_or(SECONDS, |text| text.parse().expect("a number of seconds"))
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let mut paths = entries(&folder("seeds").join(name));
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).expect("a seed can be read")).collect()
}

fn names_in(name: &str) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    entries(&folder(name)).into_iter().map(stem).collect()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(name)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry can be read").path()).collect()
}
