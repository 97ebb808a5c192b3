//! The report of a storm: its counts, what must be zero, and what must not, since a storm in which little happened proves
//! little.

use super::{
    nemesis::Done,
    oracle::{Jobs, Money, Verdict},
    plan::Plan,
    replay::Replayed,
    unknowns::{Hooks, Recovery, Unknowns},
};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

/// The length and rate for which the gates are written down.
const FULL: Duration = Duration::from_mins(3);
const FULL_RATE: f64 = 35.0;

/// Everything that a storm tells.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub plan: Plan,
    pub seconds: u64,
    pub jobs: Jobs,
    /// By policy.
    pub money: BTreeMap<String, Money>,
    pub unknown: Unknowns,
    pub hooks: Hooks,
    pub faults: Done,
    pub recovery: Recovery,
    pub replay: Replayed,
    /// Seconds by which the database's clock was moved at the end.
    pub clock_moved_by: u64,
    /// The first lines of level ERROR in the servers' logs.
    pub errors_logged: Vec<String>,
    /// The most often that one server wrote the same warning within one second.
    pub warnings_in_a_second: BTreeMap<String, usize>,
    /// Everything for which the storm has failed, gates included. Empty is right.
    pub failures: Vec<String>,
}

impl Report {
    /// Puts the verdict in, and judges the whole.
    pub(super) fn judge(&mut self, verdicts: [Verdict; 2]) {
        for (when, verdict) in ["after the drain", "after the replay"].into_iter().zip(verdicts) {
            self.failures.extend(verdict.broken.iter().map(|broken| format!("{when}: {broken}")));
            (self.jobs, self.money) = (verdict.jobs, verdict.money);
            let zeros = self.zeros();
            let over = zeros.into_iter().filter(|(_, count)| *count > 0);
            self.failures.extend(over.map(|(what, count)| format!("{when}: {what}: {count}")));
        }
        self.failures.extend(self.replay.changed.iter().map(|table| format!("the replay changed {table}")));
        self.failures.extend(self.errors_logged.iter().map(|line| format!("logged: {line}")));
        let missed = self.gates().into_iter().filter(|(_, seen, wanted)| seen < wanted);
        self.failures
            .extend(missed.map(|(what, seen, wanted)| format!("too little happened: {what}: {seen} of {wanted}")));
        let late = [
            ("a killed server's work moves again within lease + 5 s", self.recovery.kill_to_lease_run_out.p99, 8.0),
            ("Postgres back to first claim within 5 s", self.recovery.postgres_back_to_claim.max, 5.0),
        ];
        let late = late.into_iter().filter(|(_, seen, most)| seen > most);
        self.failures.extend(late.map(|(what, seen, _)| format!("{what}: {seen:.1} s")));
    }

    fn zeros(&self) -> Vec<(String, usize)> {
        let of_rows = |count: i64| usize::try_from(count).unwrap_or(0);
        let jobs = &self.jobs;
        let mut zeros = vec![
            ("acknowledged and lost".to_owned(), jobs.lost),
            ("jobs that are not as their callers were told".to_owned(), jobs.told_otherwise),
            ("jobs made twice".to_owned(), of_rows(jobs.made_twice)),
            ("jobs ended twice".to_owned(), of_rows(jobs.ended_twice)),
            ("ends without just one event".to_owned(), of_rows(jobs.events_not_one)),
            ("altered results".to_owned(), jobs.results_altered),
            ("jobs that did not succeed".to_owned(), of_rows(jobs.not_succeeded)),
            ("unknown and never resolved".to_owned(), self.unknown.otherwise),
        ];
        for (policy, money) in &self.money {
            zeros.push((format!("{policy}: paid runs without a ledger line"), money.paid_without_ledger_line));
            zeros.push((format!("{policy}: ledger lines without a paid run"), money.ledger_line_without_paid_run));
        }
        if let Some(money) = self.money.get("patient") {
            let second = money.second_paid_runs.saturating_sub(money.of_runs_nobody_could_find);
            zeros.push(("patient: second paid runs".to_owned(), second));
        }
        if let Some(money) = self.money.get("impatient") {
            let over = money.second_paid_runs.saturating_sub(self.unknown.attempts);
            zeros.push(("impatient: second paid runs beyond the unknown attempts".to_owned(), over));
        }
        zeros
    }

    /// What happened, how often, and how often it must have for the length and rate of this storm.
    fn gates(&self) -> Vec<(&'static str, usize, usize)> {
        let of_rows = |count: i64| usize::try_from(count).unwrap_or(0);
        let by_time = self.plan.length.as_secs_f64() / FULL.as_secs_f64();
        let by_load = by_time * self.plan.rate / FULL_RATE;
        let (faults, unknown, hooks) = (&self.faults, &self.unknown, &self.hooks);
        let cuts = usize::try_from(faults.commits_cut_before + faults.commits_cut_after).unwrap_or(0);
        let mut gates = vec![
            ("kills", faults.kills, scaled(25, by_time)),
            ("starts with a wrong clock", faults.starts_with_a_wrong_clock, scaled(5, by_time)),
            ("unknown COMMITs", cuts, scaled(10, by_time)),
            ("unknown attempts", unknown.attempts, scaled(30, by_load)),
            ("resolved by webhook", unknown.resolved_by_callback, scaled(20, by_load)),
            ("early webhooks", hooks.early, scaled(200, by_load)),
            ("duplicate webhooks", hooks.duplicates, scaled(500, by_load)),
        ];
        if self.plan.history.lists() {
            gates.push(("resolved by history", unknown.resolved_by_history, scaled(10, by_load)));
        }
        if self.money.contains_key("impatient") {
            let late = of_rows(unknown.adopted_late + unknown.late_and_only_charged);
            gates.push(("late results after a retry", late, scaled(20, by_load)));
            gates.push(("adopted late results", of_rows(unknown.adopted_late), scaled(5, by_load)));
        }
        gates
    }

    /// The report as lines of text, one count each.
    pub fn table(&self) -> String {
        let mut text = String::new();
        lines(&mut text, "", &serde_json::to_value(self).unwrap_or_default());
        for (what, seen, wanted) in self.gates() {
            writeln!(text, "{:<52}{seen:>12}  of {wanted} wanted", format!("gate {what}")).expect("a String takes all");
        }
        text
    }
}

/// A part of a gate; a short storm shows at least one of each.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small counts"
)]
fn scaled(full: usize, by: f64) -> usize {
    // A third off, since what is rare comes unevenly in a short storm.
    let by = if by < 0.9 { by / 1.5 } else { by.min(1.0) };
    ((full as f64 * by) as usize).max(1)
}

fn lines(text: &mut String, path: &str, value: &Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let dot = if path.is_empty() { "" } else { "." };
                lines(text, &format!("{path}{dot}{name}"), value);
            }
        }
        Value::Array(items) => {
            writeln!(text, "{path:<52}{:>12}", items.len()).expect("a String takes all");
            for item in items {
                writeln!(text, "    {}", item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                    .expect("a String takes all");
            }
        }
        Value::String(word) => writeln!(text, "{path:<52}{word:>12}").expect("a String takes all"),
        other => writeln!(text, "{path:<52}{:>12}", other.to_string()).expect("a String takes all"),
    }
}
