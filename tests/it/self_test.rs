//! The checks are checked: known bugs are switched on one by one, and the check that is there for each must find it.
//!
//! A part is a small world in which a bug of its kind has its chance. It runs once without any bug, and then nothing may be
//! found, and once for each of its bugs. A bug counts as caught only by the check that is named for it here.

mod commits;
mod deaths;
mod gauntlet;
mod redirects;
mod sending;
mod telling;

use failpoints::Bug;
use futures::{StreamExt as _, future::LocalBoxFuture, stream};
use gauntlet::Gauntlet;
use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    time::{Duration, Instant},
};
use testkit::Finding;

/// A small world, and what happens in it.
type Part = fn(Option<Bug>) -> LocalBoxFuture<'static, Vec<Finding>>;

/// Worlds at once: each has a server and a database of its own.
const AT_ONCE: usize = 2;

const PARTS: [(&str, Part); 7] = [
    ("telling", |bug| Box::pin(telling::run(bug))),
    ("sending", |bug| Box::pin(sending::run(bug))),
    ("death", |bug| Box::pin(deaths::killed(bug))),
    ("silence", |bug| Box::pin(deaths::silent(bug))),
    ("pause", |bug| Box::pin(deaths::paused(bug))),
    ("commits", |bug| Box::pin(commits::run(bug))),
    ("redirects", |bug| Box::pin(redirects::run(bug))),
];

/// Each bug, the part in which it shows, and the check that must find it: an invariant of `testkit`, or a word for what the
/// caller or fal expects.
const CASES: [(Bug, &str, &str); Bug::ALL.len()] = [
    (Bug::NoStateGuard, "telling", "I04"),
    (Bug::NoDeduplication, "telling", "I16"),
    (Bug::NoUserCheck, "telling", "I10"),
    (Bug::LaxVerify, "telling", "I10"),
    (Bug::NoLedgerLine, "telling", "I16"),
    (Bug::ChargesForNothing, "telling", "I16"),
    (Bug::ReserializedResult, "telling", "I10"),
    (Bug::NoEvent, "telling", "I11"),
    (Bug::TokenInLog, "telling", "I29"),
    (Bug::BlindRetry, "sending", "I18"),
    (Bug::NoSlotCount, "sending", gauntlet::SLOTS),
    (Bug::CancelBelieved, "sending", "I16"),
    (Bug::NoReconciling, "silence", "I06"),
    (Bug::NoIdempotency, "sending", gauntlet::ONE_JOB),
    (Bug::NoTenantCheck, "sending", gauntlet::TENANCY),
    (Bug::RescueResends, "death", "I19"),
    (Bug::SendsPastLease, "pause", "I18"),
    (Bug::AnswerBeforeCommit, "commits", "I21"),
    (Bug::AcknowledgeBeforeCommit, "commits", "I01"),
    (Bug::FollowsRedirects, "redirects", gauntlet::REDIRECTS),
];

#[test]
fn every_bug_has_a_part_and_a_check() {
    let known: BTreeSet<Bug> = Bug::ALL.iter().copied().collect();
    assert_eq!(CASES.iter().map(|(bug, ..)| *bug).collect::<BTreeSet<_>>(), known);
    assert!(CASES.iter().all(|(_, part, _)| PARTS.iter().any(|(name, _)| name == part)));
}

/// Runs every part without a bug and with each of its bugs, two at a time, and prints what became of them.
#[tokio::test(flavor = "multi_thread")]
async fn every_seeded_bug_is_caught_by_the_check_that_is_there_for_it() {
    let clean = PARTS.iter().map(|(name, part)| Run { bug: None, expected: "", name, part: *part });
    let seeded = CASES.iter().map(|(bug, at, expected)| {
        let (name, part) = PARTS.iter().find(|(name, _)| name == at).expect("every bug has a part");
        Run { bug: Some(*bug), expected, name, part: *part }
    });
    let mut outcomes: Vec<Outcome> =
        stream::iter(clean.chain(seeded).map(Run::outcome)).buffer_unordered(AT_ONCE).collect().await;
    outcomes.sort_by_key(|outcome| (outcome.run.bug.is_some(), outcome.run.name, outcome.run.bug));

    let mut table = String::from("\nbug                       part       caught by           after    also seen by\n");
    for outcome in &outcomes {
        writeln!(table, "{outcome}").expect("a String takes all that is written");
    }
    eprintln!("{table}");
    let wrong: Vec<_> = outcomes.iter().filter(|outcome| !outcome.is_right()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// One world that is to be run.
#[derive(Debug)]
struct Run {
    bug: Option<Bug>,
    /// The check that must find the bug.
    expected: &'static str,
    name: &'static str,
    part: Part,
}

/// What was found in it.
#[derive(Debug)]
struct Outcome {
    run: Run,
    found: Vec<Finding>,
    took: Duration,
}

impl Run {
    async fn outcome(self) -> Outcome {
        let began = Instant::now();
        let found = (self.part)(self.bug).await;
        Outcome { run: self, found, took: began.elapsed() }
    }
}

impl Outcome {
    /// Whether nothing was found where there is nothing, or what is there by the check that is there for it.
    fn is_right(&self) -> bool {
        let expected = self.found.iter().any(|finding| finding.check == self.run.expected);
        if self.run.bug.is_some() { expected } else { self.found.is_empty() }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run: Run { bug, expected, name, .. }, found, took } = self;
        let caught = match (bug, self.is_right()) {
            (Some(_), true) => expected,
            (Some(_), false) => "MISSED",
            (None, true) => "nothing to find",
            (None, false) => "FALSE ALARM",
        };
        let others: BTreeSet<&str> = found.iter().map(|finding| finding.check.as_str()).collect();
        let others: Vec<&str> = others.into_iter().filter(|check| check != expected).collect();
        let (bug, took) = (bug.map_or("(none)", Bug::name), took.as_secs_f64());
        write!(f, "{bug:25} {name:10} {caught:18} {took:5.1} s    {}", others.join(", "))
    }
}
