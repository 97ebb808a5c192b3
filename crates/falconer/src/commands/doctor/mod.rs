//! `falconer doctor`: is this installation in order, and what to do where it is not. Changes nothing.
//!
//! It spends no money: what only a paid run at fal could tell is left out.

mod database;
mod listeners;
mod settings;

use super::{
    exit::{self, Exit},
    output::{self, Format, OutputArgs, clean},
};
use crate::config::{self, Overrides};
use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use serde_json::value::to_raw_value;
use std::path::PathBuf;

/// Flags of `falconer doctor`.
#[derive(Debug, Args)]
#[command(after_help = format!("Example:\n  falconer doctor -o jsonl | grep -v '\"ok\"'\n\nEnds with 1 where a check fails.\n{}", exit::CODES))]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    output: OutputArgs,
}

/// What one check says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    status: Status,
    found: String,
    /// What to do about it, where there is something to do.
    remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Ok,
    /// It works, though not as it might.
    Warn,
    /// It does not work.
    Fail,
}

impl DoctorArgs {
    pub(crate) async fn run(self, file: Option<PathBuf>) -> Result<Exit> {
        let findings = match config::load(file, &Overrides::new()) {
            Err(error) => {
                vec![Finding::fail("settings", format!("{error:#}"), "`falconer config default` explains each")]
            }
            Ok(config) => {
                let http = fal::http_client().context("failed to build the HTTP client")?;
                let mut findings = settings::check(&config);
                findings.extend(database::check(&config).await);
                findings.push(settings::check_keys_of_fal(&config, &http).await);
                findings.push(settings::check_queue_of_fal(&config, &http).await);
                findings.push(settings::check_public_url(&config, &http).await);
                findings.extend(listeners::check(&config, &http).await);
                findings
            }
        };
        output::print(&report(&findings, self.output.format)?);
        Ok(if findings.iter().any(|finding| finding.status == Status::Fail) { Exit::Failed } else { Exit::Done })
    }
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, found: found.into(), remedy: None }
    }

    pub(super) fn warn(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, status: Status::Warn, found: found.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn fail(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, status: Status::Fail, found: found.into(), remedy: Some(remedy.into()) }
    }
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

fn report(findings: &[Finding], format: Format) -> Result<String> {
    if format != Format::Table {
        let items = findings.iter().map(to_raw_value).collect::<Result<Vec<_>, _>>()?;
        return output::many(format, &items, None, &[], Vec::new());
    }
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let lines = findings.iter().flat_map(|finding| {
        // A contradiction of settings has several lines, and each is worth reading.
        let mut start = (finding.status.as_str(), finding.check);
        let remedy = finding.remedy.as_ref().map(|remedy| format!("→ {remedy}"));
        finding.found.lines().map(str::to_owned).chain(remedy).map(move |line| {
            let (status, check) = std::mem::take(&mut start);
            format!("{status:4}  {check:width$}  {}", clean(line.trim()))
        })
    });
    Ok(output::lines(lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> [Finding; 3] {
        [
            Finding::ok("schema", "current"),
            Finding::warn("public_url", "private", "set server.public_url"),
            Finding::fail("FAL_KEY", "is not set", "export FAL_KEY=…"),
        ]
    }

    #[test]
    fn people_see_what_to_do_below_what_was_found() {
        let told = report(&findings(), Format::Table).unwrap();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 5, "{told}");
        assert_eq!(lines[0], "ok    schema      current");
        assert_eq!(lines[1], "warn  public_url  private");
        assert_eq!(lines[2].trim(), "→ set server.public_url");
    }

    #[test]
    fn programs_see_a_finding_on_each_line() {
        let told = report(&findings(), Format::Jsonl).unwrap();
        let statuses: Vec<serde_json::Value> = told
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["status"].clone())
            .collect();
        assert_eq!(statuses, ["ok", "warn", "fail"]);
    }
}
