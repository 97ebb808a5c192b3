//! Runs a variant to its end, prints its line of the table, and says which properties fail.

use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    hash::Hash,
    time::Instant,
};

/// One of the models that can be checked.
pub(crate) trait Checkable:
    Model<State: Clone + Debug + Hash + PartialEq + Send + Sync, Action: Clone + Debug + PartialEq>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<M> Checkable for M where
    M: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync, Action: Clone + Debug + PartialEq>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Visits every state. Exactly the properties of `failing` fail, and all that the model is about is reached.
pub(crate) fn fails_only(variant: &str, model: &impl Checkable, failing: &[&str]) {
    let found = check(variant, model, HasDiscoveries::All);
    let fails: BTreeSet<&str> = found.fails.keys().copied().collect();
    assert_eq!(fails, failing.iter().copied().collect(), "{variant}: {:#?}", found.fails);
    assert_eq!(found.unreached, [""; 0], "{variant} shows too little");
}

/// Visits every state, and every property holds.
pub(crate) fn holds(variant: &str, model: &impl Checkable) {
    fails_only(variant, model, &[]);
}

/// Searches until it finds how `property` fails.
pub(crate) fn breaks(variant: &str, model: &impl Checkable, property: &'static str) {
    let found = check(variant, model, HasDiscoveries::AllOf(BTreeSet::from([property])));
    assert!(found.fails.contains_key(property), "{variant} was to fail: {property}");
}

struct Found {
    /// By property, the actions that lead to where it fails.
    fails: BTreeMap<&'static str, Vec<String>>,
    unreached: Vec<&'static str>,
}

fn check(variant: &str, model: &impl Checkable, until: HasDiscoveries) -> Found {
    let started = Instant::now();
    let checker = model.clone().checker().finish_when(until).spawn_bfs().join();
    let took = started.elapsed();
    let mut found = Found { fails: BTreeMap::new(), unreached: Vec::new() };
    for property in checker.model().properties() {
        let path = checker.discovery(property.name);
        match (property.expectation, path) {
            (Expectation::Sometimes, None) => found.unreached.push(property.name),
            (Expectation::Always | Expectation::Eventually, Some(path)) => {
                let path = path.into_actions().iter().map(|action| format!("{action:?}")).collect();
                found.fails.insert(property.name, path);
            }
            _ => {}
        }
    }
    print(variant, &found, (checker.unique_state_count(), checker.max_depth(), took.as_secs_f64()));
    found
}

#[expect(clippy::print_stdout, reason = "the table is what the test is read for")]
fn print(variant: &str, found: &Found, (states, depth, seconds): (usize, usize, f64)) {
    let test = std::thread::current();
    let model = test.name().and_then(|name| name.split("::").next()).unwrap_or_default();
    let fails: Vec<&str> = found.fails.keys().copied().collect();
    let fails = if fails.is_empty() { "all hold".to_owned() } else { format!("FAILS: {}", fails.join("; ")) };
    println!("{model:<8} | {variant:<52} | {states:>7} | {depth:>3} | {seconds:>5.1} s | {fails}");
    for (property, path) in &found.fails {
        println!("    {property}: {}", path.join(" > "));
    }
}
