//! The words of the demo: what is about to happen, what did, and what to try next.

use super::{
    account::{Account, percentile},
    checks::Check,
    stage::Stage,
};
use crate::dev::banner::{commands, first_job};
use anyhow::Result;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use console::Term;
use simulator::{Fault, Occupancy};
use std::{fmt::Write as _, time::Duration};

/// Lines of one list, beyond which only their number is told.
const LISTED: usize = 12;
/// Columns of the table, where there is no narrower terminal.
const WIDTH: u16 = 96;

/// What is about to happen.
pub(super) fn opening(stage: &Stage, jobs: u32, seed: u64) -> String {
    let settings = stage.simulator.config();
    let percent = |fault: Fault| format!("{:.0} %", settings.faults.rate(fault) * 100.0);
    format!(
        "\n{jobs} jobs, {slots} slots, seed {seed}. Postgres commits to disk; time at fal runs {scale:.0}x.\n\
         fal loses {lost} of the callback tries and every try for {silent} of the jobs, sends\n\
         {doubled} twice, calls {early} before it has answered the POST, cuts {cut} of the POSTs\n\
         after taking them, and fails {refused} with a 422.\n",
        slots = settings.slots,
        scale = settings.time_scale,
        lost = percent(Fault::CallbackTryLost),
        silent = percent(Fault::CallbackAllLost),
        doubled = percent(Fault::CallbackDoubled),
        early = percent(Fault::CallbackBeforeAnswer),
        cut = percent(Fault::AcceptThenReset),
        refused = percent(Fault::Result422),
    )
}

/// Where every job went.
pub(super) fn table(account: &Account, firing: Duration, took: Duration, occupancy: Option<&Occupancy>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width());
    let mut row = |name: &str, count: String, how: String| {
        table.add_row([Cell::new(name), Cell::new(count).set_alignment(CellAlignment::Right), Cell::new(how)]);
    };
    row("fired", account.fired.to_string(), format!("acknowledged with 202 within {:.2} s", seconds(firing)));
    row("home by callback", account.by_callback.to_string(), "verified, committed, then answered with 200".to_owned());
    row("home by reconciling", account.by_look.to_string(), lateness(account));
    if account.by_nobody > 0 {
        row("ended without fal", account.by_nobody.to_string(), "fal never said that it had run".to_owned());
    }
    row("lost", account.lost.to_string(), "acknowledged, and not there or not over".to_owned());
    row("failed with cause", account.failed.values().sum::<usize>().to_string(), classes(account));
    row("POSTs taken and cut", account.cut.to_string(), "fal had the job, we had no answer".to_owned());
    row("unknown for a while", account.doubts.len().to_string(), doubts(account));
    row("callback tries lost", account.tries_lost.to_string(), tries(account));
    row("repeats absorbed", account.repeats.to_string(), repeats(account));
    row("paid runs", account.paid.to_string(), paid(account));
    row("slots busy", busy(occupancy), used(occupancy));
    row("time", format!("{:.1} s", seconds(took)), "from the first POST to the last job home".to_owned());
    format!("{table}\n")
}

/// Each doubt and its end.
pub(super) fn unknown(account: &Account) -> String {
    if account.doubts.is_empty() {
        return String::new();
    }
    let mut text = "\nUnknown once, and what told us:\n".to_owned();
    for doubt in account.doubts.iter().take(LISTED) {
        let after = doubt.lasted.map(|lasted| format!(", after {:.2} s", seconds(lasted))).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  job {}  {}{after}", doubt.job, doubt.resolved.words());
    }
    text.push_str(&and_more(account.doubts.len()));
    text
}

/// What was compared, and what does not agree.
pub(super) fn checks(checks: &[Check]) -> String {
    let mut text = "\nThe caller, Postgres and the simulated fal compared:\n".to_owned();
    for check in checks {
        let mark = if check.holds() { "✓" } else { "✗" };
        let agreed = check.looked_at.saturating_sub(check.broken.len());
        let _ = writeln!(text, "  {mark} {:<56} {agreed:>5} of {}", check.rule, check.looked_at);
        for broken in check.broken.iter().take(LISTED) {
            let _ = writeln!(text, "      {broken}");
        }
        text.push_str(&and_more(check.broken.len()));
    }
    let broken: Vec<&str> = checks.iter().filter(|check| !check.holds()).map(|check| check.rule).collect();
    if broken.is_empty() {
        text.push_str("\nNothing is lost, and every total agrees.\n");
    } else {
        let _ = writeln!(text, "\nThis does not hold: {}.", broken.join("; "));
    }
    text
}

/// What somebody may do while everything is still up.
pub(super) fn what_next(stage: &Stage) -> Result<String> {
    let (api, key) = (stage.api(), stage.key_file());
    let falconer = std::env::current_exe()?;
    Ok(format!(
        "\nEverything stays up until Ctrl-C.\n\n\
         \x20 API       {api}\n  metrics   http://{}/metrics\n  fal       {}/_sim (simulated)\n\
         \x20 API key   {}\n  log       {}\n  database  {}\n\nTry:\n\n{}\n{}",
        stage.config.server.metrics_addr,
        stage.simulator.url(),
        key.display(),
        stage.log_file().display(),
        stage.config.database.url.as_deref().unwrap_or_default(),
        first_job(&api, &key.display().to_string()),
        commands(&api, &key.display().to_string(), &falconer.display().to_string()),
    ))
}

fn width() -> u16 {
    let columns = Term::stdout().size_checked().map_or(WIDTH, |(_, columns)| columns);
    columns.min(WIDTH)
}

fn lateness(account: &Account) -> String {
    match (percentile(&account.late, 50), percentile(&account.late, 99)) {
        (Some(half), Some(most)) => {
            format!("after fal's end: median {:.2} s, p99 {:.2} s", seconds(half), seconds(most))
        }
        _ if account.by_look > 0 => "each of them unknown for a while, see below".to_owned(),
        _ => "no callback was missed".to_owned(),
    }
}

fn classes(account: &Account) -> String {
    let classes: Vec<String> = account.failed.iter().map(|(class, count)| format!("{count} {class}")).collect();
    or_none(&classes)
}

fn doubts(account: &Account) -> String {
    let ways = account.resolved().into_iter().map(|(resolved, count)| format!("{count} by {}", resolved.words()));
    or_none(&ways.collect::<Vec<_>>())
}

fn tries(account: &Account) -> String {
    format!("of {} until now; all of them for {} runs", account.tries, account.silent)
}

fn repeats(account: &Account) -> String {
    let late = account.repeats.saturating_sub(account.copies);
    format!("{} copies, {late} after fal had been asked", account.copies)
}

fn paid(account: &Account) -> String {
    format!("for {} jobs that succeeded; ${} charged", account.succeeded, account.cost.normalize())
}

fn busy(occupancy: Option<&Occupancy>) -> String {
    occupancy.map_or_else(
        || "–".to_owned(),
        |use_| {
            let offered = f64::from(use_.slots) * use_.elapsed_seconds;
            format!("{:.1} %", use_.busy_slot_seconds / offered.max(f64::MIN_POSITIVE) * 100.0)
        },
    )
}

fn used(occupancy: Option<&Occupancy>) -> String {
    occupancy.map_or_else(
        || "no job was seen waiting for one".to_owned(),
        |use_| format!("of {}, while jobs were waiting ({:.1} s)", use_.slots, use_.elapsed_seconds),
    )
}

fn or_none(parts: &[String]) -> String {
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn and_more(count: usize) -> String {
    if count > LISTED { format!("  … and {} more\n", count - LISTED) } else { String::new() }
}

fn seconds(span: Duration) -> f64 {
    span.as_secs_f64()
}
